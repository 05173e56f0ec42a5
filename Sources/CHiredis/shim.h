#pragma once
// The system's headers as Swift's Glibc module has them, so that both agree about every declaration.
#pragma clang module import SwiftGlibc
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
