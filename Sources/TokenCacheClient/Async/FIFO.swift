/// A queue: taken from the front, added to at the back, both in constant time on average.
struct FIFO<Element> {
    /// Passed places are given up when there are more of them than of elements.
    private static var fewest: Int { 64 }

    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { count == 0 }
    var first: Element? { head < elements.count ? elements[head] : nil }

    mutating func append(_ element: Element) {
        elements.append(element)
    }

    mutating func removeFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= Self.fewest, head > elements.count / 2 {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Puts another in the place of the first element, or takes it out.
    mutating func replaceFirst(_ element: Element?) {
        guard let element else {
            _ = removeFirst()
            return
        }
        if head < elements.count { elements[head] = element }
    }

    /// Everything, from the front; the queue is empty then.
    mutating func removeAll() -> [Element] {
        defer { (elements, head) = ([], 0) }
        return elements[head...].compactMap(\.self)
    }

    mutating func removeAll(where isGone: (Element) -> Bool) {
        for element in removeAll() where !isGone(element) { append(element) }
    }

    func forEach(_ body: (Element) -> Void) {
        for case let element? in elements[head...] { body(element) }
    }
}
