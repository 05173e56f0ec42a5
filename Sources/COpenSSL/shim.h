#pragma once
// The system's headers as Swift's Glibc module has them, so that both agree about every declaration.
#pragma clang module import SwiftGlibc
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// What OpenSSL has as macros only, which Swift does not see.
static inline int tls_set_minimum_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

// Nothing is resumed, and nothing negotiated anew: a connection is what its handshake made it.
static inline void tls_keep_no_sessions(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
}

// What could not be written yet may lie elsewhere when it is tried again.
static inline void tls_let_output_move(SSL *connection) {
    SSL_set_mode(connection, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static inline int tls_add_to_chain(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate);
}

static inline int tls_ask_for_name(SSL *connection, const char *name) {
    return SSL_set_tlsext_host_name(connection, name);
}

// The input of a connection that has ended: a read then says so, instead of asking for more.
static inline void tls_end_input(BIO *input) { BIO_set_mem_eof_return(input, 0); }

static inline void tls_await_input(BIO *input) { BIO_set_mem_eof_return(input, -1); }

// What is to be sent, in place.
static inline long tls_output(BIO *output, char **start) { return BIO_get_mem_data(output, start); }

static inline void tls_forget_output(BIO *output) { (void)BIO_reset(output); }
