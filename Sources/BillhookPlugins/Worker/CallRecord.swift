internal import BillhookSDK

/// What an argument of a hook function is, so that one piece of code can carry every call from one
/// process to another.
enum CallArgument: Sendable {
  /// A `const bh_tensor *` that the plugin reads.
  case tensorIn
  /// A `const bh_tensor *` whose elements the plugin writes.
  case tensorOut
  /// The same, of floats: the worker's side makes NaN of those that the plugin does not write.
  case tensorUnwritten
  /// A pointer to a struct.
  case record(CallRecord)
  /// A `double *` or `uint64_t *` that the plugin writes one number to.
  case number
  /// An integer that is passed by value.
  case integer
  /// A `const bh_writer *`, which the host serves while the call runs.
  case writer
  /// A `const bh_reader *`, which the host serves while the call runs.
  case reader
}

/// The pointers in a struct of the ABI. Everything else in it is copied as it is.
final class CallRecord: Sendable {
  enum Field: Sendable {
    case tensorIn
    case tensorOut
    /// A `const char *` that the plugin reads.
    case text
    /// A `const char *` that the plugin sets to a constant text of its own.
    case textOut
    /// A `double *` that the plugin writes one number to.
    case numberOut
    /// A `const int64_t *` with as many numbers as the field at `countOffset` says.
    case integers(countOffset: Int)
    /// An array of pointers to structs, or to tensors, as long as the field at `countOffset` says.
    case list(of: CallArgument, countOffset: Int)
  }

  let byteCount: Int
  /// True when the plugin fills in the plain fields.
  let isWritten: Bool
  let fields: [(offset: Int, kind: Field)]

  /// - Parameter fields: What the pointer at each key path stands for.
  init<Struct>(
    _ type: Struct.Type, isWritten: Bool = false, _ fields: [(PartialKeyPath<Struct>, Field)]
  ) {
    byteCount = MemoryLayout<Struct>.size
    self.isWritten = isWritten
    self.fields = fields.map { (offset(of: $0.0), $0.1) }
  }
}

/// Where a field of an imported struct is.
func offset<Struct>(of path: PartialKeyPath<Struct>) -> Int {
  guard let offset = MemoryLayout<Struct>.offset(of: path) else {
    preconditionFailure("\(path) is not a stored field")
  }
  return offset
}
