// libwebsockets: HTTP server and client.
#pragma once
#include <libwebsockets.h>

// Bytes that lws_write() wants free in front of a buffer; the macro LWS_PRE is not importable.
static const size_t peernode_lws_pre = LWS_PRE;
