// libcrypto (OpenSSL 3): SHA-256 and ChaCha20-Poly1305 through EVP.
#pragma once
#include <openssl/evp.h>
#include <openssl/err.h>
