// JavaScriptCore's C API: JavaScript and WebAssembly.
#pragma once
#include <JavaScriptCore/JavaScript.h>
