// SHA256_CTX is marked as deprecated for want of a provider; it is what can be copied and lies on the stack.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
