#include "cudaexec/driver.h"

#include "supervisor/util.h"

#include <dlfcn.h>
#include <string.h>

struct symbol {
	const char *name;
	size_t offset;
	int since;
};

static const struct symbol symbols[] = {
#include "cuda_driver_symbols.h"
};

/* dlerror() text of a library that is there but does not load differs from that of one that is not there. */
static int load_error(const char *path, struct err *err)
{
	const char *reason = dlerror();
	int code = reason && strstr(reason, "No such file") ? -ENOENT : -ELIBBAD;

	return err_set(err, code, "CUDA driver %s: %s", path, reason ? reason : "cannot be loaded");
}

static int resolve(void *library, const char *path, struct cuda_driver *driver, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		void *address = dlsym(library, symbols[i].name);

		if (!address && symbols[i].since <= CUDA_DRIVER_REQUIRED)
			return err_set(err, -ELIBBAD,
				       "CUDA driver %s: it has no %s, which every driver since CUDA 11 has", path,
				       symbols[i].name);
		memcpy((char *)driver + symbols[i].offset, &address, sizeof(address));
	}
	return 0;
}

int cuda_driver_load(const char *path, struct cuda_driver *ret_driver, struct err *err)
{
	struct cuda_driver driver = {0};
	const char *name = path ? path : "libcuda.so.1";
	CUresult result;
	int code;

	driver.library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!driver.library)
		return load_error(name, err);
	code = resolve(driver.library, name, &driver, err);
	if (code == 0) {
		result = driver.cuDriverGetVersion(&driver.version);
		code = cuda_result_check(result, "cuDriverGetVersion", err);
	}
	if (code < 0) {
		(void)dlclose(driver.library);
		return code;
	}
	*ret_driver = driver;
	return 0;
}

void cuda_driver_unload(struct cuda_driver *driver)
{
	if (driver->library)
		(void)dlclose(driver->library);
	memset(driver, 0, sizeof(*driver));
}
