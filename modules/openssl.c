/* The module libferry-tls, made of OpenSSL: see src/tls/module.h. Bytes pass through buffers in memory, so OpenSSL never sees a
 * descriptor; it reads the files of certificates and keys itself. Nothing is asked for at a terminal, and nothing is printed.
 *
 * Invariant: the queue of errors of OpenSSL, which belongs to the thread, is empty when a function of the module returns: the program
 * may use OpenSSL, too. */
#include "tls/module.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((__visibility__("default"))) extern const struct tls_module ferry_tls_module;

struct tls {
        SSL *ssl;
        BIO *input;             /* from the other side … */
        BIO *output;            /* … and to it; both are the SSL's */
        bool is_open;           /* the handshake is done */
};

/* Sentences ---------------------------------------------------------------------------------------------- */

static const char *reason_of(unsigned long error)
{
        /* Those of the system, as of a file that is missing, have no string there. */
        const char *reason = ERR_SYSTEM_ERROR(error) ? strerror((int)ERR_GET_REASON(error)) : ERR_reason_error_string(error);

        return reason ? reason : "an unknown error of OpenSSL";
}

static int is_memory(unsigned long error)
{
        return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
}

/* The first error in the queue is the cause, and the last says what was tried. */
static int fail(char *why, int code, const char *what)
{
        unsigned long first = ERR_get_error();

        snprintf(why, TLS_WHY_MAX, "%s%s%s", what, first ? ": " : "", first ? reason_of(first) : "");
        ERR_clear_error();
        return first && is_memory(first) ? -ENOMEM : code;
}

/* The other side has sent an alert about the certificate of this one, or that there is none. */
static bool is_refusal(unsigned long error)
{
        if (ERR_GET_LIB(error) != ERR_LIB_SSL)
                return false;
        switch (ERR_GET_REASON(error)) {
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
                return true;
        default:
                return false;
        }
}

/* What to do about a certificate that is not trusted. */
static const char *advise(long verdict)
{
        switch (verdict) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CRL_HAS_EXPIRED:
                return "give the server a new one, or check the clock of this machine";
        case X509_V_ERR_CERT_NOT_YET_VALID:
                return "check the clock of this machine";
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
                return "write the host in the URL as its certificate does, or give the server a certificate with this host in its"
                       " subjectAltName";
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
                return "if this is the right server, set nats_ca (NATS_CA) to a file with the certificate of its issuer";
        default:
                return "give the server another one";
        }
}

/* The sentence about a certificate of the server that was not accepted. */
static void explain_verdict(const struct tls *tls, long verdict, char *why)
{
        X509_VERIFY_PARAM *expected = SSL_get0_param(tls->ssl);
        bool is_name = verdict == X509_V_ERR_HOSTNAME_MISMATCH, is_address = verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
        char *address = is_address ? X509_VERIFY_PARAM_get1_ip_asc(expected) : NULL;
        const char *host = is_name ? X509_VERIFY_PARAM_get0_host(expected, 0) : address;

        snprintf(why, TLS_WHY_MAX, "the certificate of the server is not trusted: %s%s%.200s%s; %s", X509_verify_cert_error_string(verdict),
                 host ? ", as it does not name '" : "", host ? host : "", host ? "'" : "", advise(verdict));
        OPENSSL_free(address);
        ERR_clear_error();
}

static int explain(const struct tls *tls, int result, char *why)
{
        int kind = SSL_get_error(tls->ssl, result);
        unsigned long error = ERR_peek_error();
        long verdict = SSL_get_verify_result(tls->ssl);

        if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
                ERR_clear_error();
                return -EAGAIN;
        }
        if (verdict != X509_V_OK && !tls->is_open) {
                explain_verdict(tls, verdict, why);
                return verdict == X509_V_ERR_OUT_OF_MEM ? -ENOMEM : -EKEYREJECTED;
        }
        if (is_refusal(error))
                return fail(why, -EACCES, SSL_get_certificate(tls->ssl) ?
                                                  "the server does not take the certificate of this side (nats_cert, NATS_CERT)" :
                                                  "the server wants a certificate of this side: set nats_cert and nats_key (NATS_CERT, NATS_KEY)");
        return fail(why, -EPROTO, tls->is_open ? "what came is not TLS" : "the handshake has failed");
}

/* Beginning ---------------------------------------------------------------------------------------------- */

/* Without this OpenSSL would ask at the terminal. */
static int refuse_password(char *buffer, int size, int is_writing, void *userdata)
{
        (void)buffer, (void)size, (void)is_writing, (void)userdata;
        return -1;
}

static int load(SSL_CTX *context, const struct tls_settings *settings, char *why)
{
        char what[TLS_WHY_MAX];

        if (settings->ca ? SSL_CTX_load_verify_file(context, settings->ca) != 1 : SSL_CTX_set_default_verify_paths(context) != 1) {
                snprintf(what, sizeof what, "cannot use the certificates of '%.300s'", settings->ca ? settings->ca : "the system");
                return fail(why, -EINVAL, what);
        }
        if (!settings->certificate)
                return 0;
        if (SSL_CTX_use_certificate_chain_file(context, settings->certificate) != 1) {
                snprintf(what, sizeof what, "cannot use the certificate '%.300s'", settings->certificate);
                return fail(why, -EINVAL, what);
        }
        if (SSL_CTX_use_PrivateKey_file(context, settings->key, SSL_FILETYPE_PEM) != 1) {
                snprintf(what, sizeof what, "cannot use the private key '%.300s', which must have no password and fit the certificate",
                         settings->key);
                return fail(why, -EINVAL, what);
        }
        return 0;
}

static SSL_CTX *make_context(const struct tls_settings *settings, int *ret_code, char *why)
{
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());

        *ret_code = context ? 0 : fail(why, -ENOMEM, "no memory for TLS");
        if (!context)
                return NULL;
        SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
        SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_default_passwd_cb(context, refuse_password);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        *ret_code = load(context, settings, why);
        if (!*ret_code)
                return context;
        SSL_CTX_free(context);
        return NULL;
}

/* As programs in Go do, of which the server is one: a certificate names hosts in its subjectAltName only. */
static bool expect_host(SSL *ssl, const char *host, bool is_address)
{
        X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
        size_t size = strlen(host);

        X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (is_address)
                return X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1;
        /* The dot at the end of a whole name is none of it. */
        if (size > 1 && host[size - 1] == '.')
                size--;
        return X509_VERIFY_PARAM_set1_host(expected, host, size) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int open_tls(const struct tls_settings *settings, const char *host, bool is_address, struct tls **ret, char why[TLS_WHY_MAX])
{
        struct tls *tls = calloc(1, sizeof *tls);
        SSL_CTX *context;
        int code;

        ERR_clear_error();
        context = tls ? make_context(settings, &code, why) : NULL;
        if (!tls)
                code = fail(why, -ENOMEM, "no memory for TLS");
        if (context) {
                tls->ssl = SSL_new(context);
                SSL_CTX_free(context);
                tls->input = BIO_new(BIO_s_mem());
                tls->output = BIO_new(BIO_s_mem());
                if (!tls->ssl || !tls->input || !tls->output || !expect_host(tls->ssl, host, is_address)) {
                        BIO_free(tls->input);
                        BIO_free(tls->output);
                        SSL_free(tls->ssl);
                        code = fail(why, -ENOMEM, "no memory for TLS");
                }
        }
        if (code) {
                free(tls);
                return code;
        }
        SSL_set_bio(tls->ssl, tls->input, tls->output);
        SSL_set_connect_state(tls->ssl);
        *ret = tls;
        return 0;
}

static void free_tls(struct tls *tls)
{
        SSL_free(tls->ssl);
        free(tls);
}

/* Bytes -------------------------------------------------------------------------------------------------- */

static int feed(struct tls *tls, const void *bytes, size_t size)
{
        size_t put = 0;
        int is_put = size == 0 || (BIO_write_ex(tls->input, bytes, size, &put) == 1 && put == size);

        ERR_clear_error();
        return is_put ? 0 : -ENOMEM;
}

static bool has_input(const struct tls *tls)
{
        return SSL_has_pending(tls->ssl) == 1 || BIO_pending(tls->input) > 0;
}

static size_t count_output(const struct tls *tls)
{
        return BIO_ctrl_pending(tls->output);
}

static size_t take(struct tls *tls, void *buffer, size_t size)
{
        size_t got = 0;

        if (BIO_ctrl_pending(tls->output) == 0 || BIO_read_ex(tls->output, buffer, size, &got) != 1)
                got = 0;
        ERR_clear_error();
        return got;
}

/* Nothing is verified any more. The certificates of a system take 800 KiB. */
static void forget_trusted(SSL_CTX *context)
{
        X509_STORE *none = X509_STORE_new();

        if (none)
                SSL_CTX_set_cert_store(context, none);
        ERR_clear_error();
}

static int shake_hands(struct tls *tls, char why[TLS_WHY_MAX])
{
        int result;

        ERR_clear_error();
        result = SSL_do_handshake(tls->ssl);
        if (result != 1)
                return explain(tls, result, why);
        tls->is_open = true;
        forget_trusted(SSL_get_SSL_CTX(tls->ssl));
        return 0;
}

static ssize_t read_tls(struct tls *tls, void *buffer, size_t size, char why[TLS_WHY_MAX])
{
        size_t got = 0;
        int result;

        ERR_clear_error();
        result = SSL_read_ex(tls->ssl, buffer, size, &got);
        if (result == 1)
                return (ssize_t)got;
        if (SSL_get_error(tls->ssl, result) == SSL_ERROR_ZERO_RETURN) {
                ERR_clear_error();
                return 0;
        }
        return explain(tls, result, why);
}

static ssize_t write_tls(struct tls *tls, const void *bytes, size_t size, char why[TLS_WHY_MAX])
{
        size_t put = 0;
        int result;

        ERR_clear_error();
        result = SSL_write_ex(tls->ssl, bytes, size, &put);
        return result == 1 ? (ssize_t)put : explain(tls, result, why);
}

static void end_output(struct tls *tls)
{
        ERR_clear_error();
        if (tls->is_open)
                SSL_shutdown(tls->ssl);
        ERR_clear_error();
}

/* Ed25519 ------------------------------------------------------------------------------------------------ */

static int sign(const unsigned char seed[TLS_SEED_SIZE], const void *bytes, size_t size,
                unsigned char ret_signature[TLS_SIGNATURE_SIZE], unsigned char ret_key[TLS_KEY_SIZE])
{
        EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TLS_SEED_SIZE);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        size_t signature_size = TLS_SIGNATURE_SIZE, key_size = TLS_KEY_SIZE;
        bool is_signed = key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                         EVP_DigestSign(context, ret_signature, &signature_size, bytes, size) == 1 &&
                         EVP_PKEY_get_raw_public_key(key, ret_key, &key_size) == 1;

        EVP_MD_CTX_free(context);
        /* Clears it, too. */
        EVP_PKEY_free(key);
        ERR_clear_error();
        return is_signed ? 0 : -ENOMEM;
}

const struct tls_module ferry_tls_module = {
        .version = TLS_MODULE_VERSION,
        .library = OPENSSL_VERSION_TEXT,
        .open = open_tls,
        .free = free_tls,
        .feed = feed,
        .has_input = has_input,
        .count_output = count_output,
        .take = take,
        .shake_hands = shake_hands,
        .read = read_tls,
        .write = write_tls,
        .end_output = end_output,
        .sign = sign,
};
