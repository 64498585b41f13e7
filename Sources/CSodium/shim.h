// libsodium: Ed25519, X25519, XSalsa20, HMAC-SHA-256, random bytes, secret memory.
#pragma once
#include <sodium.h>
