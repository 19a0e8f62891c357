#include "api/jwt.h"

#include "api/json.h"

#include <jwt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SKEW_S 60 /* a token is made good from a little before now on, for clocks that are behind */

static void jwt_freep(jwt_t **token)
{
	jwt_free(*token);
}

static bool refuse(char *message, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(char *message, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, JWT_MESSAGE_MAX, format, args);
	va_end(args);
	return false;
}

/* --- segments ----------------------------------------------------------------------------------------------------- */

static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/*
 * Decodes LENGTH digits of base64 for URLs, without padding, into OUT (room for three quarters of them). Returns the
 * number of bytes, or -1 with the place of the byte that is wrong; a lone last digit is missed at the end.
 */
static ssize_t decode(const char *from, size_t length, char *out, size_t *ret_wrong)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	ssize_t n = 0;

	for (size_t i = 0; i < length; i++) {
		int digit = digit_of(from[i]);

		if (digit < 0) {
			*ret_wrong = i;
			return -1;
		}
		bits = bits << 6 | (uint32_t)digit;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			out[n++] = (char)(bits >> n_bits);
		}
	}
	*ret_wrong = length;
	return length % 4 == 1 ? -1 : n;
}

struct segment {
	const char *at;
	size_t length;
};

/* The object that a segment holds; NULL when it is refused. */
static json_t *read_object(const struct segment *segment, char *message)
{
	_cleanup_free_ char *text = malloc(segment->length + 1);
	_cleanup_json_ json_t *object = NULL;
	size_t wrong;
	ssize_t n;

	if (!text) {
		refuse(message, "ferrite is out of memory");
		return NULL;
	}
	n = decode(segment->at, segment->length, text, &wrong);
	if (n < 0) {
		refuse(message, "illegal base64 data at input byte %zu", wrong);
		return NULL;
	}
	object = json_loadb(text, (size_t)n, 0, NULL);
	if (json_is_object(object))
		return take_ptr(object);
	refuse(message, n == 0 ? "unexpected end of JSON input" : "a part of the token is no JSON object");
	return NULL;
}

/* Cuts the token of an Authorization field into its three segments. */
static bool split(const char *authorization, const char **ret_token, struct segment segments[3], char *message)
{
	const char *token = authorization ? authorization : "";
	unsigned n = 0;

	if (strncasecmp(token, "Bearer ", 7) == 0)
		token += 7;
	if (!*token)
		return refuse(message, "no token present in request");
	*ret_token = token;
	for (const char *at = token;; at += segments[n++].length + 1) {
		if (n < 3)
			segments[n] = (struct segment){at, strcspn(at, ".")};
		if (n == 3 || (n < 2 && !at[segments[n].length]))
			return refuse(message, "token contains an invalid number of segments");
		if (!at[segments[n].length])
			return true;
	}
}

/* --- what they say ------------------------------------------------------------------------------------------------ */

static bool algorithm_of(const json_t *header, jwt_alg_t *ret_algorithm, char *message)
{
	static const struct {
		const char *name;
		jwt_alg_t algorithm;
	} known[] = {{"HS256", JWT_ALG_HS256}, {"HS384", JWT_ALG_HS384}, {"HS512", JWT_ALG_HS512}};
	const char *name = json_string_value(json_object_get(header, "alg"));
	const char *type = json_string_value(json_object_get(header, "typ"));

	/* libjwt would call the signature of another type wrong. */
	if (type && strcasecmp(type, "JWT") != 0)
		return refuse(message, "the token's type (typ) is not JWT");
	if (!name)
		return refuse(message, "signing method (alg) is unspecified.");
	if (strcmp(name, "none") == 0)
		return refuse(message, "'none' signature type is not allowed");
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(name, known[i].name) == 0) {
			*ret_algorithm = known[i].algorithm;
			return true;
		}
	return refuse(message, "signing method (alg) is unavailable.");
}

/* Seconds as Go writes a duration: 40s, 1m40s, 2h0m0s. */
static const char *duration(char *buffer, size_t size, uint64_t seconds)
{
	unsigned long long h = seconds / 3600, m = seconds / 60 % 60, s = seconds % 60;

	if (h > 0)
		(void)snprintf(buffer, size, "%lluh%llum%llus", h, m, s);
	else if (m > 0)
		(void)snprintf(buffer, size, "%llum%llus", m, s);
	else
		(void)snprintf(buffer, size, "%llus", s);
	return buffer;
}

/* A claim that is zero counts as not given. */
static bool read_claim(const json_t *claims, const char *name, int64_t *ret_value, char *message)
{
	*ret_value = 0;
	if (json_read_i64(claims, name, INT64_MIN, INT64_MAX, ret_value) == 0)
		return true;
	return refuse(message, "the claim %s is no whole number of seconds", name);
}

/* Where several are wrong, the original names the last. */
static bool claims_good(const json_t *claims, int64_t now_s, char *message)
{
	int64_t expires, begins, issued;
	char elapsed[48];

	if (!read_claim(claims, "exp", &expires, message) || !read_claim(claims, "nbf", &begins, message) ||
	    !read_claim(claims, "iat", &issued, message))
		return false;
	if (begins && now_s < begins)
		return refuse(message, "token is not valid yet");
	if (issued && now_s < issued)
		return refuse(message, "Token used before issued");
	if (expires && now_s > expires)
		return refuse(message, "token is expired by %s",
			      duration(elapsed, sizeof(elapsed), (uint64_t)now_s - (uint64_t)expires));
	return true;
}

static bool signature_good(const char *key, const char *token, jwt_alg_t algorithm)
{
	_cleanup_(jwt_freep) jwt_t *verified = NULL;

	/* Without memory for the key libjwt succeeds with no algorithm: what it checked has to be looked at. */
	return jwt_decode(&verified, token, (const unsigned char *)key, (int)strlen(key)) == 0 &&
	       jwt_get_alg(verified) == algorithm;
}

bool jwt_token_accepted(const char *key, const char *authorization, int64_t now_s, char message[JWT_MESSAGE_MAX])
{
	_cleanup_json_ json_t *header = NULL, *claims = NULL;
	struct segment segments[3];
	jwt_alg_t algorithm = JWT_ALG_NONE;
	const char *token = NULL;
	size_t wrong;

	if (!split(authorization, &token, segments, message))
		return false;
	header = read_object(&segments[0], message);
	claims = header ? read_object(&segments[1], message) : NULL;
	if (!claims || !algorithm_of(header, &algorithm, message))
		return false;
	_cleanup_free_ char *signature = malloc(segments[2].length + 1);

	if (!signature)
		return refuse(message, "ferrite is out of memory");
	if (decode(segments[2].at, segments[2].length, signature, &wrong) < 0)
		return refuse(message, "illegal base64 data at input byte %zu", wrong);
	if (!signature_good(key, token, algorithm))
		return refuse(message, "signature is invalid");
	return claims_good(claims, now_s, message);
}

char *jwt_token_make(const char *key, int64_t now_s, int64_t seconds)
{
	_cleanup_(jwt_freep) jwt_t *token = NULL;

	if (jwt_new(&token) != 0 ||
	    jwt_set_alg(token, JWT_ALG_HS256, (const unsigned char *)key, (int)strlen(key)) != 0 ||
	    jwt_add_grant_int(token, "exp", now_s + seconds) != 0 || jwt_add_grant_int(token, "iat", now_s) != 0 ||
	    jwt_add_grant_int(token, "nbf", now_s - SKEW_S) != 0)
		return NULL;
	return jwt_encode_str(token);
}
