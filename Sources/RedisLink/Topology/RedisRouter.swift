/// Knows which server a key belongs to. Nobody else knows whether there is one or a hundred.
///
/// Today there is one.
public final class RedisRouter {
    public let nodes: [RedisNode]
    private let only: RedisNode

    public init(node: RedisNode) {
        only = node
        nodes = [node]
    }

    /// The server that owns a key.
    public func node(of key: [UInt8]) -> RedisNode { only }

    /// The server whose clock judges what belongs to no key, and that is asked where any may be.
    public var first: RedisNode { only }
}
