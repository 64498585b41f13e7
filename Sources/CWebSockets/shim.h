// libwebsockets: HTTP server and client.
#pragma once
#include <libwebsockets.h>
