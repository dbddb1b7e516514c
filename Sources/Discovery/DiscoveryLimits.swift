/// How much of what a network announces is kept. Sizes are in bytes.
package enum DiscoveryLimits {
    /// Other nodes known at once.
    package static let peersMax = 128
    /// Answers kept for one node: one for each interface and protocol that it is seen through.
    package static let answersPerPeerMax = 16
    /// Names looked up or watched at once. The daemon allows a client 1,024 objects.
    package static let answersMax = 512
    /// The strings of a TXT record together.
    package static let textBytesMax = 400
    /// The name of a service: one label of DNS.
    package static let nameBytesMax = 63
}
