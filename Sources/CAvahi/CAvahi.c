#include "CAvahi.h"

#include <dlfcn.h>
#include <stddef.h>

// The program is not linked with Avahi's client library, which brings D-Bus, systemd and gcrypt along, nine libraries in all: each command
// would wait for them, and only discovery calls it. So it is loaded by name once discovery starts, and the functions of its headers that
// are called stand here, each handing its call on. They are hidden, so that the library goes on finding its own.

/// Each function: its type, name, parameters, and the call's arguments.
#define FUNCTIONS(F)                                                                                                             \
    F(AvahiClient *, avahi_client_new,                                                                                           \
      (const AvahiPoll *poll, AvahiClientFlags flags, AvahiClientCallback callback, void *context, int *error),                  \
      (poll, flags, callback, context, error))                                                                                   \
    F(void, avahi_client_free, (AvahiClient * client), (client))                                                                 \
    F(int, avahi_client_errno, (AvahiClient * client), (client))                                                                 \
    F(AvahiServiceBrowser *, avahi_service_browser_new,                                                                          \
      (AvahiClient * client, AvahiIfIndex interface, AvahiProtocol protocol, const char *type, const char *domain,               \
       AvahiLookupFlags flags, AvahiServiceBrowserCallback callback, void *context),                                             \
      (client, interface, protocol, type, domain, flags, callback, context))                                                     \
    F(int, avahi_service_browser_free, (AvahiServiceBrowser * browser), (browser))                                               \
    F(AvahiServiceResolver *, avahi_service_resolver_new,                                                                        \
      (AvahiClient * client, AvahiIfIndex interface, AvahiProtocol protocol, const char *name, const char *type,                 \
       const char *domain, AvahiProtocol family, AvahiLookupFlags flags, AvahiServiceResolverCallback callback, void *context),  \
      (client, interface, protocol, name, type, domain, family, flags, callback, context))                                       \
    F(int, avahi_service_resolver_free, (AvahiServiceResolver * resolver), (resolver))                                           \
    F(AvahiEntryGroup *, avahi_entry_group_new,                                                                                  \
      (AvahiClient * client, AvahiEntryGroupCallback callback, void *context), (client, callback, context))                      \
    F(int, avahi_entry_group_reset, (AvahiEntryGroup * group), (group))                                                          \
    F(int, avahi_entry_group_commit, (AvahiEntryGroup * group), (group))                                                         \
    F(int, avahi_entry_group_add_service_strlst,                                                                                 \
      (AvahiEntryGroup * group, AvahiIfIndex interface, AvahiProtocol protocol, AvahiPublishFlags flags, const char *name,       \
       const char *type, const char *domain, const char *host, uint16_t port, AvahiStringList *text),                            \
      (group, interface, protocol, flags, name, type, domain, host, port, text))                                                 \
    F(int, avahi_entry_group_update_service_txt_strlst,                                                                          \
      (AvahiEntryGroup * group, AvahiIfIndex interface, AvahiProtocol protocol, AvahiPublishFlags flags, const char *name,       \
       const char *type, const char *domain, AvahiStringList *text),                                                             \
      (group, interface, protocol, flags, name, type, domain, text))                                                             \
    F(const char *, avahi_strerror, (int error), (error))                                                                        \
    F(char *, avahi_alternative_service_name, (const char *name), (name))                                                        \
    F(void, avahi_free, (void *memory), (memory))                                                                                \
    F(AvahiStringList *, avahi_string_list_add, (AvahiStringList * list, const char *text), (list, text))                        \
    F(AvahiStringList *, avahi_string_list_reverse, (AvahiStringList * list), (list))                                            \
    F(AvahiStringList *, avahi_string_list_get_next, (AvahiStringList * list), (list))                                           \
    F(uint8_t *, avahi_string_list_get_text, (AvahiStringList * list), (list))                                                   \
    F(size_t, avahi_string_list_get_size, (AvahiStringList * list), (list))                                                      \
    F(void, avahi_string_list_free, (AvahiStringList * list), (list))                                                            \
    F(AvahiSimplePoll *, avahi_simple_poll_new, (void), ())                                                                      \
    F(void, avahi_simple_poll_free, (AvahiSimplePoll * poll), (poll))                                                            \
    F(const AvahiPoll *, avahi_simple_poll_get, (AvahiSimplePoll * poll), (poll))                                                \
    F(int, avahi_simple_poll_iterate, (AvahiSimplePoll * poll, int milliseconds), (poll, milliseconds))

/// Where the library has each; all there once loaded.
static struct {
#define POINTER(type, name, parameters, arguments) type(*name) parameters;
    FUNCTIONS(POINTER)
} library;

#define CALL(type, name, parameters, arguments)                                                                                  \
    __attribute__((visibility("hidden"))) type name parameters { return library.name arguments; }
FUNCTIONS(CALL)

const char *bakare_avahi_load(void) {
    static void *handle;
    if (handle) return NULL;
    // It stays until the process ends. What it needs of libavahi-common is looked up by way of it.
    void *opened = dlopen("libavahi-client.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!opened) return "Avahi's client library is not here: install libavahi-client3";
#define FIND(type, name, parameters, arguments)                                                                                  \
    if (!(library.name = (type(*) parameters)dlsym(opened, #name))) return "Avahi's client library lacks " #name;
    FUNCTIONS(FIND)
    handle = opened;
    return NULL;
}
