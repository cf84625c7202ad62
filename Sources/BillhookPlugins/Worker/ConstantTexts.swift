internal import Synchronization

/// C strings that live as long as the process: a plugin's texts are promised to do so, and those of
/// a plugin in a worker are copied here. Equal texts are kept once.
enum ConstantTexts {
  private static let known = Mutex<[String: UInt]>([:])

  static func address(_ text: String) -> UInt {
    known.withLock { known in
      if let address = known[text] { return address }
      let address = UInt(bitPattern: cString(text))
      known[text] = address
      return address
    }
  }
}
