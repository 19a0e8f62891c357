/*
 * JSON Web Tokens under the rules of IronFunctions: HMAC with the bytes of a key, HS256, HS384 or HS512, the claims
 * exp, nbf and iat checked when they are there, to the second. Signatures are computed and compared by libjwt (in
 * constant time); what a token says, and the text of a refusal, is read here. No state, no threads; keys appear in no
 * message.
 */
#ifndef FERRITE_API_JWT_H
#define FERRITE_API_JWT_H

#include <stdbool.h>
#include <stdint.h>

#define JWT_CHALLENGE	"Bearer realm=\"\"" /* Www-Authenticate of a refusal */
#define JWT_MESSAGE_MAX 128
#define JWT_SECONDS	3600 /* a token of IronFunctions' tool is good for so long when nothing else is said */

/*
 * Whether AUTHORIZATION, the value of the header field (NULL: there was none), holds a token signed with KEY that is
 * good at NOW_S (seconds since 1970, of the clock that clients read: time() can be a tick behind it, which would refuse
 * a token that was issued at this moment). MESSAGE is set when it is refused.
 */
bool jwt_token_accepted(const char *key, const char *authorization, int64_t now_s, char message[JWT_MESSAGE_MAX]);

/* A token for KEY, good from a minute before NOW_S until SECONDS after it; the caller frees. NULL: no memory. */
char *jwt_token_make(const char *key, int64_t now_s, int64_t seconds);

#endif
