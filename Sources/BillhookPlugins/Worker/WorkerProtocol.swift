internal import BillhookSandbox
internal import Foundation

/// What the host and a worker say to each other: messages on a socket for set-up, texts and the end,
/// and turns in lanes of shared memory for calls. It is no part of the plugin ABI.
enum WorkerProtocol {
  /// Raised with every change; both sides must have the same.
  static let version: UInt64 = 4
  private static let magic: UInt64 = 0x4242_4854_574B_5231

  /// Messages on the socket.
  enum Message: UInt64 {
    // To the worker
    case start = 1  // a WorkerOrder as JSON; carries the control memory
    case block  // id, byte count, 1 when writable; carries the block
    // To the host
    case confined  // an achieved Confinement as JSON
    case piece  // part of a JSON text that is too long for one message
    case loaded  // the end of a library's [PluginDescription] as JSON; number: which library
    case refused  // the end of a PluginError as JSON; number: which library
    case ready  // all libraries are through
    case log  // number: index of the plugin; level, text
    case progress  // number: index of the plugin; the bits of a double, text
  }

  /// What the side that passes the turn wants: `bh_lane.kind`.
  enum Turn: UInt32 {
    case create = 1
    case destroy
    case validate
    case call
    /// Several calls, one after the other, as long as none fails.
    case calls
    case reply
    // From the worker, in the middle of a call
    case write
    case read
  }

  /// The most bytes of one message.
  static let messageLimit = 64 * 1024
  static let textLimit = 32 * 1024

  static func send(
    _ message: Message, number: Int = 0, _ payload: UnsafeRawBufferPointer, to socket: Int32,
    carrying descriptor: Int32 = -1
  ) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: payload.count + 64, alignment: 8) { bytes in
      var wire = WireWriter(bytes)
      wire.put(magic)
      wire.put(version)
      wire.put(message.rawValue)
      wire.put(number)
      wire.put(payload.count)
      if let start = payload.baseAddress { wire.put(start, count: payload.count) }
      return bh_send_message(socket, bytes.baseAddress, UInt64(wire.count), descriptor) == 0
    }
  }

  static func send(
    _ message: Message, number: Int = 0, _ payload: [UInt8] = [], to socket: Int32,
    carrying descriptor: Int32 = -1
  ) -> Bool {
    payload.withUnsafeBytes {
      send(message, number: number, $0, to: socket, carrying: descriptor)
    }
  }

  /// Sends a JSON text in as many messages as it needs; the last one is `message`.
  static func send(
    _ message: Message, number: Int = 0, json value: some Encodable, to socket: Int32,
    carrying descriptor: Int32 = -1
  ) -> Bool {
    guard let data = try? PluginJSON.encoder.encode(value) else { return false }
    var rest = ArraySlice([UInt8](data))
    while rest.count > textLimit {
      guard send(.piece, [UInt8](rest.prefix(textLimit)), to: socket) else { return false }
      rest = rest.dropFirst(textLimit)
    }
    return send(message, number: number, [UInt8](rest), to: socket, carrying: descriptor)
  }

  struct Received {
    var message: Message
    var number: Int
    var payload: [UInt8]
    /// Whoever receives it closes it; -1 for none.
    var descriptor: Int32
  }

  /// The next message; nil at the end of the connection or for what is no message.
  static func receive(from socket: Int32) -> Received? {
    withUnsafeTemporaryAllocation(byteCount: messageLimit, alignment: 8) { bytes in
      var descriptor: Int32 = -1
      let count = bh_receive_message(
        socket, bytes.baseAddress, UInt64(bytes.count), &descriptor)
      var wire = WireReader(UnsafeRawBufferPointer(rebasing: bytes[..<max(Int(count), 0)]))
      let isOurs = wire.number() == magic && wire.number() == version
      let message = Message(rawValue: wire.number())
      let number = wire.integer()
      let length = wire.integer()
      guard count > 0, isOurs, let message, length >= 0, length <= messageLimit,
        length == 0 || !wire.failed,
        let start = length == 0 ? UnsafeRawPointer(bytes.baseAddress) : wire.bytes(length)
      else {
        if descriptor >= 0 { close(descriptor) }
        return nil
      }
      let payload = [UInt8](UnsafeRawBufferPointer(start: start, count: length))
      return Received(message: message, number: number, payload: payload, descriptor: descriptor)
    }
  }
}

/// What a worker is started for.
struct WorkerOrder: Codable, Sendable {
  /// The libraries to load, one after the other.
  var libraries: [LibraryFile]
  /// Addresses that the process may use, in bytes.
  var memoryBytes: UInt64
  /// Files and folders that may be read.
  var readable: [String]
  /// Threads of `parallel_for`.
  var threads: Int
  var laneCount: Int
  /// True to try plain functions on made-up values, in a process that then serves no calls.
  var probes = false
  /// The process that the worker ends with.
  var host = Int32(getpid())
}

/// A plugin of a library in a worker: what it says of itself, and which functions it has.
struct PluginDescription: Codable, Sendable, Equatable {
  var descriptor: PluginDescriptor
  /// Names of the hook's functions that are not null.
  var functions: [String]
}

/// How plugins' facts are written as JSON; infinities have names there.
enum PluginJSON {
  static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return encoder
  }

  static var decoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return decoder
  }

  static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8]) -> T? {
    try? decoder.decode(type, from: Data(bytes))
  }

  /// A worker's error, with texts that are printable: its values may be a plugin's.
  static func error(_ bytes: [UInt8]) -> PluginError? {
    // In our own encoding nothing is left of how the worker wrote it.
    guard let given = decode(PluginError.self, bytes), let data = try? encoder.encode(given),
      let object = try? JSONSerialization.jsonObject(with: data),
      let clean = try? JSONSerialization.data(withJSONObject: printableTexts(object))
    else { return nil }
    return decode(PluginError.self, [UInt8](clean))
  }

  private static func printableTexts(_ value: Any) -> Any {
    switch value {
    // Paths are long, and the message bounds them all.
    case let text as String: printable(text, limit: WorkerProtocol.messageLimit)
    case let list as [Any]: list.map(printableTexts)
    case let object as [String: Any]: object.mapValues(printableTexts)
    default: value
    }
  }
}
