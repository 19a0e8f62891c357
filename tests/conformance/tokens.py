"""JSON web tokens, made by hand so that broken ones can be made too."""

import base64
import hashlib
import hmac
import json
import time

HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key, algorithm="HS256", header=None, **claims):
    head = encoded(json.dumps(header or {"alg": algorithm, "typ": "JWT"}).encode())
    signed = f"{head}.{encoded(json.dumps(claims).encode())}"
    if algorithm == "none":
        return signed + "."
    return f"{signed}.{encoded(hmac.new(key.encode(), signed.encode(), HASHES[algorithm]).digest())}"


def client_token(key):
    """As the fn tool makes it."""
    now = int(time.time())
    return token(key, exp=now + 3600, iat=now, nbf=now - 60)


def bearer(text):
    return {"Authorization": "Bearer " + text}
