// XChaCha20-Poly1305 by libsodium and by OpenSSL's libcrypto, each message with all its set-up: megabytes a second of processor time.
//
//     cc -O2 -Wall Tests/Benchmarks/ciphers.c -o /tmp/ciphers -lsodium -lcrypto && /tmp/ciphers
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { bytes_max = 1 << 20, total_bytes = 400 << 20, messages_max = 300000 };
static uint8_t key[32] = {1}, nonce[24] = {2}, associated[32] = {3};
static uint8_t plain[bytes_max], sealed[bytes_max + 16], opened[bytes_max + 16];
static EVP_CIPHER *cipher;

static double processor_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void check(int right, const char *what) {
    if (!right) { fprintf(stderr, "ciphers: %s failed\n", what); exit(1); }
}

static void sodium(int seals, size_t bytes) {
    int result = seals
        ? crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, plain, bytes, associated, 32, NULL, nonce, key)
        : crypto_aead_xchacha20poly1305_ietf_decrypt(opened, NULL, NULL, sealed, bytes + 16, associated, 32, nonce, key);
    check(result == 0, "libsodium");
}

static void libcrypto(int seals, size_t bytes) {
    uint8_t subkey[32], short_nonce[12] = {0};
    int written;
    crypto_core_hchacha20(subkey, nonce, key, NULL);
    memcpy(short_nonce + 4, nonce + 16, 8);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    check(EVP_CipherInit_ex2(context, cipher, subkey, short_nonce, seals, NULL) == 1, "libcrypto");
    check(EVP_CipherUpdate(context, NULL, &written, associated, 32) == 1, "libcrypto");
    if (!seals) check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, sealed + bytes) == 1, "libcrypto");
    check(EVP_CipherUpdate(context, seals ? sealed : opened, &written, seals ? plain : sealed, bytes) == 1, "libcrypto");
    check(EVP_CipherFinal_ex(context, opened + bytes, &written) == 1, "libcrypto");
    if (seals) check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, sealed + bytes) == 1, "libcrypto");
    EVP_CIPHER_CTX_free(context);
}

static double speed(void (*work)(int, size_t), int seals, size_t bytes) {
    size_t messages = total_bytes / bytes < messages_max ? total_bytes / bytes : messages_max;
    for (size_t warm = 0; warm < messages / 10 + 1; warm++) work(seals, bytes);
    double start = processor_seconds();
    for (size_t message = 0; message < messages; message++) work(seals, bytes);
    return messages * (double)bytes / 1e6 / (processor_seconds() - start);
}

int main(void) {
    check(sodium_init() >= 0, "libsodium");
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    check(cipher != NULL, "libcrypto");
    for (size_t place = 0; place < bytes_max; place++) plain[place] = place * 31;
    printf("   bytes  libsodium seal  open  libcrypto seal  open  ratio seal  open\n");
    for (size_t bytes = 512; bytes <= bytes_max; bytes *= 2) {
        double sodium_seals = speed(sodium, 1, bytes), sodium_opens = speed(sodium, 0, bytes);
        double libcrypto_seals = speed(libcrypto, 1, bytes), libcrypto_opens = speed(libcrypto, 0, bytes);
        sodium(0, bytes); // each opens what the other sealed
        check(memcmp(plain, opened, bytes) == 0, "comparing");
        printf("%8zu  %14.0f %5.0f  %14.0f %5.0f  %10.2f %5.2f\n", bytes, sodium_seals, sodium_opens, libcrypto_seals,
            libcrypto_opens, libcrypto_seals / sodium_seals, libcrypto_opens / sodium_opens);
    }
}
