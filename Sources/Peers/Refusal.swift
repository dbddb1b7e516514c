internal import BackupFormat
internal import HostFiles
internal import PeerProtocol
internal import Vault

/// Why a request is not carried out, as the peer is told. Paths and devices of this machine are not a peer's business:
/// what exactly failed goes to the log.
struct Refusal: Error, Sendable, Equatable {
    let code: Failed.Code
    let reason: String
    /// The cause, for this node's own log; empty where the peer is told all.
    let cause: String

    init(_ code: Failed.Code, _ reason: String, cause: String = "") {
        self.code = code
        self.reason = reason
        self.cause = cause
    }

    init(_ error: VaultError) {
        let (code, reason): (Failed.Code, String) =
            switch error.code {
            case .notFound, .elsewhere: (.notFound, "it is not here")
            case .damaged: (.damaged, "it is damaged here, beyond repair")
            case .noSpace: (.noSpace, "the disk is full")
            case .rejected: (.invalid, error.detail.isEmpty ? "it may not stand in this vault" : error.detail)
            case .busy, .interrupted: (.busy, "the vault is being swept; ask again")
            case .files: (.internalError, "the disk fails")
            }
        self.init(code, reason, cause: code == .notFound ? "" : "\(error)")
    }

    init(_ error: HostFilesError) {
        let (code, reason): (Failed.Code, String) =
            switch error.code {
            case .notFound: (.notFound, "it is not here")
            case .damaged: (.damaged, "it is damaged here, beyond repair")
            case .noSpace: (.noSpace, "the disk is full")
            default: (.internalError, "the disk fails")
            }
        self.init(code, reason, cause: error.code == .notFound ? "" : "\(error)")
    }

    static let full = Refusal(.noSpace, "the quota or the disk is full")
    static let uncounted = Refusal(.busy, "what is kept here has to be counted; ask again")
}

/// Runs an operation of the vault; its error becomes a refusal.
func onVault<R>(_ body: () throws(VaultError) -> R) throws(Refusal) -> R {
    do { return try body() } catch { throw Refusal(error) }
}

/// Runs an operation of the disk; its error becomes a refusal.
func onDisk<R>(_ body: () throws(HostFilesError) -> R) throws(Refusal) -> R {
    do { return try body() } catch { throw Refusal(error) }
}
