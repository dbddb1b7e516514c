// The shell around `PeerProtocol.Session`: sockets, event loops, timers and the threads that wait for them. docs/ARCHITECTURE.md,
// "The shell", tells how it hangs together.
//
// It hands up requests and answers and knows nothing of what they mean. This module must never: block an event loop; hold more
// for one peer than its window and the bounds of ``TransportBounds``; keep a caller waiting after its session has ended; or
// decide by a clock or a random source what a value could decide that is told of both.
import NIOCore
