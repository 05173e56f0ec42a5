#pragma once
// The system's headers as Swift's Glibc module has them; why is said in CLibevent.
#pragma clang module import SwiftGlibc
#include <yaml.h>
