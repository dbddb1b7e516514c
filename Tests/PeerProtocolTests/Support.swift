import BackupFormat
import Cryptography
import PeerProtocol
import Testing
