#include "CJemalloc.h"

// jemalloc reads this before main. Two pools, as memory that is free in one is of no use to the threads of another; what was free for
// a second goes back to the system, so that the limit on memory holds, and a piece that is used again at once need not be cleared anew:
// nor is a whole pack, which jemalloc would give back at once (oversize_threshold).
const char *malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0,oversize_threshold:0";
