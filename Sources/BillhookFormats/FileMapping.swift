internal import BillhookTensor

/// Maps a file for reading, and says in this module's words why it cannot.
func mapFile(_ path: String) throws(FormatError) -> Storage {
  do {
    return try Storage.mapping(path: path)
  } catch {
    if case .cannotMap(_, let reason) = error {
      throw .cannotRead(path: path, reason: reason)
    }
    throw .cannotRead(path: path, reason: error.description)
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` with this module's error type, which the standard library's own loses.
  func withRawBytes<R>(
    _ body: (UnsafeRawBufferPointer) throws(FormatError) -> R
  ) throws(FormatError) -> R {
    let result: Result<R, FormatError> = withUnsafeBytes { raw in
      do throws(FormatError) {
        return .success(try body(raw))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}
