/// The kinds of files that this module reads and writes.
public enum FileFormat: String, Sendable {
  case onnx = "ONNX"
  case safetensors
  case npy = "NPY"
  case npz = "NPZ"
  case idx = "IDX"
  case teacherRecord = "a teacher record"
}

/// A reason why a file cannot be read or written.
public enum FormatError: Error, Equatable, CustomStringConvertible {
  /// The file cannot be opened or read at all.
  case cannotRead(path: String, reason: String)
  /// The file cannot be written; what was there before is unchanged.
  case cannotWrite(path: String, reason: String)
  /// The bytes break the rules of the format. `location` is a byte offset or a field.
  case malformed(
    path: String, format: FileFormat, location: String, found: String, expected: String)
  /// The file is valid but uses something that Billhook does not handle.
  case unsupported(
    path: String, format: FileFormat, location: String, found: String, supported: String)
  /// What was to be written has no representation in the format.
  case cannotEncode(format: FileFormat, location: String, found: String, expected: String)
  /// A recorded teacher belongs to another model, other data or other preprocessing.
  case wrongTeacherKey(path: String, found: String, expected: String)

  /// Why a file cannot be written in the place of a folder.
  static let isFolder = "it is a folder"

  public var description: String {
    switch self {
    case .cannotWrite(let path, Self.isFolder):
      "Cannot write \"\(path)\": \(Self.isFolder). Give the name of a file, in it or elsewhere."
    case .cannotRead(let path, let reason):
      "Cannot read \"\(path)\": \(reason). Check the path and its permissions."
    case .cannotWrite(let path, let reason):
      "Cannot write \"\(path)\": \(reason). Choose a folder that exists, is writable and has space."
    case .malformed(let path, let format, let location, let found, let expected):
      """
      Cannot read "\(path)" as \(format.rawValue): at \(location), found \(found), but expected \
      \(expected). The file is damaged, cut short or of another kind; copy or export it again.
      """
    case .unsupported(let path, let format, let location, let found, let supported):
      """
      Cannot read "\(path)" as \(format.rawValue): at \(location), found \(found), which is not \
      supported. Supported: \(supported).
      """
    case .cannotEncode(let format, let location, let found, let expected):
      """
      Cannot write \(format.rawValue): at \(location), found \(found), but the format needs \
      \(expected).
      """
    case .wrongTeacherKey(let path, let found, let expected):
      """
      The teacher record "\(path)" has the key "\(found)", but "\(expected)" is needed: it was made \
      from another model, other data or other preprocessing. Record the teacher again.
      """
    }
  }
}
