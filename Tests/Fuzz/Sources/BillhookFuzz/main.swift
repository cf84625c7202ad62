// billhook-fuzz READER [libFuzzer's options and corpus folders]
internal import CLibFuzzer
internal import Glibc

let names = FuzzedReader.allCases.map(\.rawValue).joined(separator: "|")
guard CommandLine.arguments.count > 1,
  let chosen = FuzzedReader(rawValue: CommandLine.arguments[1])
else {
  let usage = Array("usage: BillhookFuzz \(names) [option|folder]...\n".utf8)
  _ = write(2, usage, usage.count)
  exit(2)
}
FuzzedReader.current = chosen

var arguments: [UnsafeMutablePointer<CChar>?] =
  ([CommandLine.arguments[0]] + CommandLine.arguments.dropFirst(2)).map { strdup($0) } + [nil]
var count = Int32(arguments.count - 1)
let status = arguments.withUnsafeMutableBufferPointer { arguments in
  var vector = arguments.baseAddress
  return LLVMFuzzerRunDriver(&count, &vector) { bytes, size in
    FuzzedReader.current.read(UnsafeBufferPointer(start: bytes, count: size))
    return 0
  }
}
exit(status)
