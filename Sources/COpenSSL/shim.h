#pragma once
// The system's headers as Swift's Glibc module has them, so that both agree about every declaration.
#pragma clang module import SwiftGlibc
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
