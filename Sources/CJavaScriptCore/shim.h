// JavaScriptCore's C API: JavaScript and WebAssembly.
#pragma once
#include <JavaScriptCore/JavaScript.h>

// A class of functions that carry a pointer of their own (JSObjectGetPrivate); each is made with JSObjectMake.
static inline JSClassRef make_function_class(JSObjectCallAsFunctionCallback callback) {
    JSClassDefinition definition = kJSClassDefinitionEmpty;
    definition.className = "Function";
    definition.attributes = kJSClassAttributeNoAutomaticPrototype;
    definition.callAsFunction = callback;
    return JSClassCreate(&definition);
}

// Exported by the library, and declared in a header of its own that it does not install.
extern void JSGlobalContextSetUnhandledRejectionCallback(JSGlobalContextRef context, JSObjectRef function, JSValueRef *exception);
