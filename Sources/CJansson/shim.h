// jansson: JSON.
#pragma once
#include <jansson.h>

// json_decref and json_is_true are inline functions over atomics or macros, which do not import everywhere.
static inline void peernode_json_release(json_t *value) { json_decref(value); }
static inline int peernode_json_type(const json_t *value) { return (int)json_typeof(value); }
