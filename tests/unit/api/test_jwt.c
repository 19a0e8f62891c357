#include "api/jwt.h"

#include "supervisor/util.h"

#include <jwt.h>
#include <string.h>

#include "tests/unit/main.h"

#define KEY   "secret"
#define NOW_S 1700000000

static char message[JWT_MESSAGE_MAX];

static bool accepted(const char *authorization)
{
	message[0] = '\0';
	return jwt_token_accepted(KEY, authorization, NOW_S, message);
}

/* A token with these claims, signed by libjwt. */
static const char *signed_token(jwt_alg_t algorithm, const char *key, const char *claims)
{
	static char buffer[1024];
	jwt_t *token = NULL;
	char *text;

	ck_assert_int_eq(jwt_new(&token), 0);
	ck_assert_int_eq(jwt_set_alg(token, algorithm, (const unsigned char *)key, (int)strlen(key)), 0);
	ck_assert_int_eq(jwt_add_grants_json(token, claims), 0);
	text = jwt_encode_str(token);
	ck_assert_ptr_nonnull(text);
	(void)snprintf(buffer, sizeof(buffer), "%s", text);
	free(text);
	jwt_free(token);
	return buffer;
}

static void refused(const char *authorization, const char *text)
{
	ck_assert_msg(!accepted(authorization), "%s was accepted", authorization ? authorization : "nothing");
	ck_assert_str_eq(message, text);
}

START_TEST(every_hmac_is_accepted_with_and_without_the_scheme)
{
	static const jwt_alg_t algorithms[] = {JWT_ALG_HS256, JWT_ALG_HS384, JWT_ALG_HS512};
	static const char *const schemes[] = {"", "Bearer ", "bearer ", "BEARER "};

	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		for (size_t j = 0; j < ARRAY_LEN(schemes); j++) {
			char value[1100];

			(void)snprintf(value, sizeof(value), "%s%s", schemes[j],
				       signed_token(algorithms[i], KEY, "{}"));
			ck_assert_msg(accepted(value), "%s: %s", value, message);
		}
}
END_TEST

/* Of PyJWT, so that not only libjwt says what a good signature is. */
START_TEST(a_token_of_another_library_is_accepted)
{
	ck_assert_msg(accepted("Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDB9."
			       "u1wxP7psxfeXmQxNa-MPkNVeNgza5sCKYEKlTOSscJk"),
		      "%s", message);
}
END_TEST

START_TEST(claims_are_checked_to_the_second)
{
	static const struct {
		const char *claims, *message;
	} rows[] = {
		{"{\"exp\":1700000000}", NULL},
		{"{\"exp\":1699999999}", "token is expired by 1s"},
		{"{\"exp\":1699999900}", "token is expired by 1m40s"},
		{"{\"exp\":1699992800}", "token is expired by 2h0m0s"},
		{"{\"exp\":-1}", "token is expired by 472222h13m21s"},
		{"{\"EXP\":1699999999}", "token is expired by 1s"},
		{"{\"exp\":0,\"nbf\":0,\"iat\":0}", NULL},
		{"{\"exp\":null}", NULL},
		{"{\"nbf\":1700000000}", NULL},
		{"{\"nbf\":1700000001}", "token is not valid yet"},
		{"{\"iat\":1700000000}", NULL},
		{"{\"iat\":1700000001}", "Token used before issued"},
		{"{\"exp\":1,\"iat\":1700000001}", "Token used before issued"},
		{"{\"exp\":1,\"iat\":1700000001,\"nbf\":1700000001}", "token is not valid yet"},
		{"{\"exp\":\"1700000000\"}", "the claim exp is no whole number of seconds"},
		{"{\"nbf\":1.5}", "the claim nbf is no whole number of seconds"},
		{"{\"sub\":\"anything\",\"aud\":[\"x\"]}", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *token = signed_token(JWT_ALG_HS256, KEY, rows[i].claims);

		if (rows[i].message)
			refused(token, rows[i].message);
		else
			ck_assert_msg(accepted(token), "%s: %s", rows[i].claims, message);
	}
}
END_TEST

/* {"alg":"HS256"}, {"alg":"none"}, {"alg":"hs256"}, {"alg":"RS256"}, {"a":1}, [], and "{" */
#define HS256	"eyJhbGciOiJIUzI1NiJ9"
#define NONE	"eyJhbGciOiJub25lIn0"
#define LOWER	"eyJhbGciOiJoczI1NiJ9"
#define RS256	"eyJhbGciOiJSUzI1NiJ9"
#define NO_ALG	"eyJhIjoxfQ"
#define OTHER	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXRSJ9"
#define ARRAY	"W10"
#define CUT	"ew"
#define NOTHING "e30"

START_TEST(malformed_tokens_are_refused)
{
	static const struct {
		const char *value, *message;
	} rows[] = {
		{NULL, "no token present in request"},
		{"", "no token present in request"},
		{"Bearer ", "no token present in request"},
		{"x", "token contains an invalid number of segments"},
		{"a.b", "token contains an invalid number of segments"},
		{"a.b.c.d", "token contains an invalid number of segments"},
		{"Basic dTpw", "token contains an invalid number of segments"},
		{"..", "unexpected end of JSON input"},
		{"x.y.z", "illegal base64 data at input byte 1"},
		{"ab$d.y.z", "illegal base64 data at input byte 2"},
		{"ab+d.y.z", "illegal base64 data at input byte 2"},
		{" " HS256 ".e30.x", "illegal base64 data at input byte 0"},
		{HS256 ".e30.abcde", "illegal base64 data at input byte 5"},
		{ARRAY "." NOTHING ".", "a part of the token is no JSON object"},
		{CUT "." NOTHING ".", "a part of the token is no JSON object"},
		{HS256 "." ARRAY ".", "a part of the token is no JSON object"},
		{HS256 "." NOTHING ".", "signature is invalid"},
		{HS256 "." NOTHING ".abcd", "signature is invalid"},
		{NONE "." NOTHING ".", "'none' signature type is not allowed"},
		{LOWER "." NOTHING ".", "signing method (alg) is unavailable."},
		{RS256 "." NOTHING ".abcd", "signing method (alg) is unavailable."},
		{NO_ALG "." NOTHING ".abcd", "signing method (alg) is unspecified."},
		{OTHER "." NOTHING ".abcd", "the token's type (typ) is not JWT"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		refused(rows[i].value, rows[i].message);
}
END_TEST

START_TEST(a_changed_token_is_refused)
{
	char token[1024];
	size_t length;

	(void)snprintf(token, sizeof(token), "%s", signed_token(JWT_ALG_HS256, KEY, "{\"exp\":4102444800}"));
	ck_assert(accepted(token));
	length = strlen(token);
	for (size_t i = 0; i < length; i++) {
		char kept = token[i];

		token[i] = kept == 'A' ? 'Q' : 'A';
		if (token[i] != kept)
			ck_assert_msg(!accepted(token), "byte %zu", i);
		token[i] = kept;
	}
	token[length - 1] = '\0';
	ck_assert(!accepted(token));
	refused(signed_token(JWT_ALG_HS256, "secret2", "{}"), "signature is invalid");
	refused(signed_token(JWT_ALG_HS512, "secre", "{}"), "signature is invalid");
}
END_TEST

START_TEST(own_tokens_are_good_for_their_time)
{
	char *token = jwt_token_make(KEY, NOW_S, 100);

	ck_assert_ptr_nonnull(token);
	ck_assert_msg(jwt_token_accepted(KEY, token, NOW_S, message), "%s", message);
	ck_assert(jwt_token_accepted(KEY, token, NOW_S + 100, message));
	ck_assert(!jwt_token_accepted(KEY, token, NOW_S + 101, message));
	ck_assert_str_eq(message, "token is expired by 1s");
	/* Issued later than now: a clock that is behind is forgiven nothing there. */
	ck_assert(!jwt_token_accepted(KEY, token, NOW_S - 1, message));
	ck_assert_str_eq(message, "Token used before issued");
	ck_assert(!jwt_token_accepted(KEY, token, NOW_S - 61, message));
	ck_assert_str_eq(message, "token is not valid yet");
	free(token);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("jwt");
	TCase *tcase = tcase_create("jwt");

	tcase_add_test(tcase, every_hmac_is_accepted_with_and_without_the_scheme);
	tcase_add_test(tcase, a_token_of_another_library_is_accepted);
	tcase_add_test(tcase, claims_are_checked_to_the_second);
	tcase_add_test(tcase, malformed_tokens_are_refused);
	tcase_add_test(tcase, a_changed_token_is_refused);
	tcase_add_test(tcase, own_tokens_are_good_for_their_time);
	suite_add_tcase(suite, tcase);
	return suite;
}
