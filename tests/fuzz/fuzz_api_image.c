/* Image configurations; and users: a specification, a newline, passwd, "|", group. */
#include "api/image.h"
#include "api/userspec.h"

#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	char *rest = text, *spec, *passwd;
	struct userspec user;
	struct image *image;
	struct err err;
	int none[1] = {-1};

	if (!text)
		return 0;
	if (image_make("fuzz", "sha256:0", (const char *)data, size, none, 0, &image, &err) == 0) {
		if (image->uid > USERSPEC_ID_MAX || image->gid > USERSPEC_ID_MAX ||
		    (!image->cuda && image->n_args == 0))
			abort();
		image_unref(image);
	}
	spec = strsep(&rest, "\n");
	passwd = strsep(&rest, "|");
	if (spec && passwd && userspec_parse(spec, passwd, rest ? rest : "", &user, &err) == 0 &&
	    (user.uid > USERSPEC_ID_MAX || user.gid > USERSPEC_ID_MAX || user.home[0] != '/'))
		abort();
	return 0;
}
