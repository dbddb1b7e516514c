#ifndef BAKARE_CAVAHI_H
#define BAKARE_CAVAHI_H

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/simple-watch.h>
#include <sys/eventfd.h>

/// Loads Avahi's client library, which every other function of these headers needs. Repeats are harmless; used by one thread at a time.
///
/// Null when it is there, else why not, in words that stay valid.
const char *bakare_avahi_load(void);

#endif
