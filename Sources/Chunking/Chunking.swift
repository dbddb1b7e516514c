// Where content is cut into chunks, and how a chunk is compressed.
//
// Pure computation over buffers of the caller: no I/O, no keys of its own, no allocation per chunk. The gear table is
// derived elsewhere from the owner's secret, so that cut points say nothing about known files.
