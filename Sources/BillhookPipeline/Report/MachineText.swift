internal import Foundation

/// The machine in words, for reports: speeds and the last bits of trained weights depend on it.
enum MachineText {
  /// The widest vector instructions that the kernels have a use for.
  static let instructionSet: String = {
    #if arch(x86_64)
      let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      let line = text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
      let flags = Set(line.split(separator: " ").map(String.init))
      let known = [
        ("avx512_vnni", "AVX-512 with VNNI"), ("avx512f", "AVX-512"),
        ("avx_vnni", "AVX2 with VNNI"),
        ("avx2", "AVX2"),
      ]
      return known.first { flags.contains($0.0) }?.1 ?? "x86-64"
    #elseif arch(arm64)
      return "NEON"
    #else
      return "scalar"
    #endif
  }()
}
