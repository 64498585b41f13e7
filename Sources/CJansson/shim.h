// jansson: JSON.
#pragma once
#include <jansson.h>
