internal import EventLoop

/// What the server needs of a client's session, whatever protocol it speaks. The session belongs to the loop's thread.
protocol ClientSession: AnyObject {
    var client: AcceptedClient { get }
    var isClosed: Bool { get }
    /// Since when a request is incomplete, and since when the client has taken no output.
    var incompleteSince: MonotonicInstant? { get }
    var stalledSince: MonotonicInstant? { get }
    /// No request is under way, nothing is subscribed to, and the last request came then.
    var idleSince: MonotonicInstant? { get }
    /// A request waits for Redis.
    var isWaiting: Bool { get }
    /// What its peer may do, by the rules in force.
    var role: Role { get set }

    /// Sends the replies that became known in this turn.
    func flush()
    /// Gives up an incomplete request, tells why behind the replies that are owed, and takes no more.
    func cutOff(_ code: StaticString, _ message: String)
    /// From within a request, whose reply is still being written: takes no more, closes when the reply is out.
    func finishAfterReply()
    /// Answers what has arrived, reads nothing later, closes.
    func drain()
    func close()
}

extension ClientSession {
    var id: UInt64 { client.id }
    var peer: Peer { client.peer }
}

/// A client that has a place: what is known before it says a word.
struct AcceptedClient {
    let id: UInt64
    let descriptor: Int32
    let peer: Peer
    let role: Role
    let place: ClientPlaces.Place
    let kind: ClientKind
    let openedAt: MonotonicInstant
}

/// Why a client is turned away.
enum ClientRefusal {
    /// Its role is `none`.
    case denied
    case full
    /// Descriptors allow fewer clients than `limits.max-clients`.
    case shortOfDescriptors
    /// Its user has as many connections as one user may.
    case userIsFull
}

/// What a client speaks.
enum ClientKind: Sendable {
    case resp
    /// At a Unix socket: a proxy, most of the time.
    case http
    /// HTTP over TCP: whoever reaches the port.
    case httpOverTCP
}

/// A protocol that clients of a listening socket speak.
protocol ListenerProtocol: AnyObject {
    var kind: ClientKind { get }
    /// Clients come over TCP, and the kernel does not tell who they are.
    var isTCP: Bool { get }
    /// The bytes that a client is told with that it is turned away.
    func text(of refusal: ClientRefusal) -> String
    /// Begins a session.
    func open(_ client: AcceptedClient) -> any ClientSession
    /// A reload changed the server's limits. Called between two turns.
    func limitsChanged()
}
