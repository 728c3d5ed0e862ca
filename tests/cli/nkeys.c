/* Keys and credentials of NATS for tests, as nsc(1) makes them: an operator, an account and a user, each of whose JWTs the one before has
 * signed; what a server is to be configured with; and files that are wrong. The signing itself is the module's.
 *
 *      nkeys DIRECTORY */
#include "tls/load.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { OPERATOR = 14 << 3, ACCOUNT = 0, USER = 20 << 3, SEED = 18 << 3, TEXT_MAX = 4096 };

struct key {
        unsigned char seed[TLS_SEED_SIZE], public[TLS_KEY_SIZE];
        char seed_text[64], text[64];
};

static const struct tls_module *module;
static const char *directory;

static void encode(const unsigned char *bytes, size_t size, int width, const char *digits, char *text)
{
        uint64_t bits = 0;
        int count = 0;

        for (size_t i = 0; i < size; i++) {
                bits = bits << 8 | bytes[i];
                for (count += 8; count >= width; count -= width)
                        *text++ = digits[bits >> (count - width) & ((1U << width) - 1)];
        }
        if (count > 0)
                *text++ = digits[bits << (width - count) & ((1U << width) - 1)];
        *text = '\0';
}

/* A prefix, the key and the checksum. */
static void put_key(const unsigned char *prefix, size_t prefix_size, const unsigned char *key, char *text)
{
        unsigned char raw[64];
        size_t size = prefix_size + 32;
        uint16_t sum = 0;

        memcpy(raw, prefix, prefix_size);
        memcpy(raw + prefix_size, key, 32);
        for (size_t i = 0; i < size; i++)
                for (int bit = 7; bit >= 0; bit--)
                        sum = (uint16_t)(sum << 1 ^ (((sum >> 15 ^ raw[i] >> bit) & 1) ? 0x1021 : 0));
        raw[size] = (unsigned char)sum;
        raw[size + 1] = (unsigned char)(sum >> 8);
        encode(raw, size + 2, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", text);
}

static void sign(const struct key *key, const char *text, unsigned char *signature)
{
        unsigned char public[TLS_KEY_SIZE];

        if (module->sign(key->seed, text, strlen(text), signature, public) < 0)
                exit(1);
}

static struct key make_key(unsigned type)
{
        struct key key;
        unsigned char signature[TLS_SIGNATURE_SIZE], prefix = (unsigned char)type;
        unsigned char seed_prefix[2] = { (unsigned char)(SEED | type >> 5), (unsigned char)(type << 3) };

        if (getrandom(key.seed, sizeof key.seed, 0) != sizeof key.seed || module->sign(key.seed, "", 0, signature, key.public) < 0)
                exit(1);
        put_key(&prefix, 1, key.public, key.text);
        put_key(seed_prefix, 2, key.seed, key.seed_text);
        return key;
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void make_jwt(const struct key *issuer, const struct key *subject, const char *nats, char *text)
{
        static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}";
        char claims[TEXT_MAX / 2];
        unsigned char signature[TLS_SIGNATURE_SIZE];

        snprintf(claims, sizeof claims, "{\"jti\":\"%s\",\"iat\":%lld,\"iss\":\"%s\",\"name\":\"test\",\"sub\":\"%s\",\"nats\":%s}", subject->text,
                 (long long)time(NULL), issuer->text, subject->text, nats);
        encode((const unsigned char *)header, strlen(header), 6, base64, text);
        strcat(text, ".");
        encode((const unsigned char *)claims, strlen(claims), 6, base64, text + strlen(text));
        sign(issuer, text, signature);
        strcat(text, ".");
        encode(signature, sizeof signature, 6, base64, text + strlen(text));
}

static FILE *create(const char *name)
{
        char path[TEXT_MAX];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", directory, name);
        file = fopen(path, "we");
        if (!file)
                exit(1);
        return file;
}

static void put_credentials(const char *name, const char *jwt, const struct key *key)
{
        FILE *file = create(name);

        fprintf(file, "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n*** IMPORTANT ***\nA seed is a secret.\n\n"
                      "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n", jwt, key->seed_text);
        fclose(file);
}

static void put_seed(const char *name, const char *seed)
{
        FILE *file = create(name);

        fprintf(file, "%s\n", seed);
        fclose(file);
}

int main(int argc, char **argv)
{
        static const char account_claims[] = "{\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,"
                                             "\"wildcards\":true,\"conn\":-1,\"leaf\":-1},\"type\":\"account\",\"version\":2}",
                          user_claims[] = "{\"pub\":{},\"sub\":{},\"subs\":-1,\"data\":-1,\"payload\":-1,\"type\":\"user\",\"version\":2}";
        static char operator_jwt[TEXT_MAX], account_jwt[TEXT_MAX], user_jwt[TEXT_MAX], stranger_jwt[TEXT_MAX];
        struct error error = { 0 };
        struct key operator, account, user, stranger;
        FILE *file;

        if (argc != 2 || tls_load(&module, &error) < 0) {
                fprintf(stderr, "nkeys: %s\n", argc == 2 ? error_text(&error) : "usage: nkeys DIRECTORY");
                return 2;
        }
        directory = argv[1];
        operator = make_key(OPERATOR);
        account = make_key(ACCOUNT);
        user = make_key(USER);
        stranger = make_key(USER);
        make_jwt(&operator, &operator, "{\"type\":\"operator\",\"version\":2}", operator_jwt);
        make_jwt(&operator, &account, account_claims, account_jwt);
        make_jwt(&account, &user, user_claims, user_jwt);
        /* No account has signed this. */
        make_jwt(&stranger, &stranger, user_claims, stranger_jwt);
        put_credentials("user.creds", user_jwt, &user);
        put_credentials("stranger.creds", stranger_jwt, &stranger);
        /* The seed is not the one that the JWT is for. */
        put_credentials("mixed.creds", user_jwt, &stranger);
        put_seed("user.nk", user.seed_text);
        put_seed("stranger.nk", stranger.seed_text);
        put_seed("account.nk", account.seed_text);
        user.seed_text[20] = user.seed_text[20] == 'A' ? 'B' : 'A';
        put_seed("wrong.nk", user.seed_text);
        put_seed("empty.nk", "");
        file = create("keys.conf");
        fprintf(file, "authorization: { users: [ { nkey: %s } ] }\n", user.text);
        fclose(file);
        file = create("operator.conf");
        fprintf(file, "operator: \"%s\"\nresolver: MEMORY\nresolver_preload: { %s: \"%s\" }\n", operator_jwt, account.text, account_jwt);
        fclose(file);
        return 0;
}
