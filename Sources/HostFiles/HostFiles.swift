// What the machine's file systems hold, as raw bytes: walking, reading and restoring files, the seam to the disk,
// and the protected container of the node's own files.
//
// Must never take a name for text, follow a symlink below a root that it was given, trust what lies on disk,
// or allocate for each entry of a walk.
