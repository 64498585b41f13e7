import LibP2P
import Multiformats

/// What the exchange keeps about one peer while it is there.
struct Link {
    /// Tells this link from an earlier one to the same peer, whose tasks may still be ending.
    let number: Int
    /// The host reports a connection.
    var isConnected = false
    /// The client machine knows the peer and may ask it.
    var isOffered = false
    var inboundStreamCount = 0

    /// Wants and cancels that wait to be written.
    var wants: [BitswapMessage.Want] = []
    var isWritingWants = false
    var wantStream: (any PeerStream)?

    /// What the server machine asked for and is not done: at most one load or message.
    var answers: [BitswapServer.Action] = []
    var isAnswering = false
    var answerStream: (any PeerStream)?

    init(number: Int) { self.number = number }
}
