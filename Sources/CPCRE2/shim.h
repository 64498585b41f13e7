// PCRE2 with 8-bit code units; call the functions by their _8 names.
#pragma once
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
