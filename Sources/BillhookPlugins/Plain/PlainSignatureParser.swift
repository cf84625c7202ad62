internal import BillhookTensor

/// Reads a declaration of one C function, as `float fabsf(float)`.
///
///     signature = result NAME "(" [ "void" | parameter { "," parameter } ] ")"
///     result    = "void" | "int" | "int32_t" | "int64_t" | "uint32_t" | "uint64_t" | "size_t"
///               | "float" | "double"
///     parameter = [ "const" ] type [ "const" ] [ "*" [ "const" | "restrict" ] ] [ NAME ]
///
/// There is no default type and no preprocessor: what is not in this grammar is refused, with the
/// reason where people may expect it to work.
struct PlainSignatureParser {
  static let parameterLimit = 16
  private static let lengthLimit = 4096
  private static let results: [PlainType] = [
    .int, .int32, .int64, .uint32, .uint64, .size, .float, .double,
  ]
  private static let refused: [String: String] = [
    "long": "the size of \"long\" differs between machines: write int64_t or int32_t",
    "short": "write int16_t instead of \"short\"",
    "char": "write int8_t or uint8_t instead of \"char\"",
    "signed": "write a sized type, such as int32_t, instead of \"signed\"",
    "bool": "\"bool\" cannot be passed: write uint8_t if that is its size",
    "_Bool": "\"_Bool\" cannot be passed: write uint8_t if that is its size",
    "struct": "structs by value cannot be passed, and a pointer to one is declared void*",
    "union": "unions by value cannot be passed, and a pointer to one is declared void*",
    "enum": "write int instead of an enum",
    "_Float16": "16-bit floats cannot be passed by value: declare a pointer to them as void*",
    "__fp16": "16-bit floats cannot be passed by value: declare a pointer to them as void*",
    "_Complex": "complex numbers cannot be passed",
    "__int128": "128-bit integers cannot be passed",
    "volatile": "leave \"volatile\" out",
    "static": "leave \"static\" out: the function must be exported",
    "inline": "leave \"inline\" out: the function must be exported",
    "extern": "leave \"extern\" out",
  ]

  private let text: String
  private let tokens: [String]
  private var position = 0

  /// - Throws: ``PluginError/badSignature(signature:reason:)``.
  static func parse(_ text: String) throws(PluginError) -> PlainSignature {
    var parser = try PlainSignatureParser(text)
    return try parser.signature()
  }

  private init(_ text: String) throws(PluginError) {
    self.text = text
    guard text.utf8.count <= Self.lengthLimit else {
      throw .badSignature(
        signature: String(text.prefix(60)) + "…",
        reason: "it has \(text.utf8.count) bytes but may have \(Self.lengthLimit)")
    }
    var tokens: [String] = []
    var word = ""
    for character in text.unicodeScalars {
      if Self.isWord(character) {
        word.unicodeScalars.append(character)
        continue
      }
      if !word.isEmpty { tokens.append(word) }
      word = ""
      if character == " " || character == "\t" || character == "\n" || character == "\r" {
        continue
      }
      if character == ".", tokens.last.map({ $0 == "." || $0 == ".." }) == true {
        tokens[tokens.count - 1] += "."
      } else {
        tokens.append(String(character))
      }
    }
    if !word.isEmpty { tokens.append(word) }
    self.tokens = tokens
  }

  private static func isWord(_ character: Unicode.Scalar) -> Bool {
    switch character {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: false
    }
  }

  private mutating func signature() throws(PluginError) -> PlainSignature {
    let result = try result()
    let symbol = try name("the function's name")
    try take("(")
    var parameters: [PlainParameter] = []
    var names = 0
    if peek == "void", token(after: 1) == ")" {
      position += 1
    } else if peek != ")" {
      while true {
        guard parameters.count < Self.parameterLimit else {
          throw failure("it has more than \(Self.parameterLimit) arguments")
        }
        let parameter = try parameter(parameters.count + 1)
        if !parameter.name.contains(" ") { names += 1 }
        if parameters.contains(where: { $0.name == parameter.name }) {
          throw failure("two arguments are called \"\(parameter.name)\"")
        }
        parameters.append(parameter)
        guard peek == "," else { break }
        position += 1
      }
    }
    try take(")")
    if peek == ";" { position += 1 }
    guard let rest = peek else {
      return PlainSignature(
        result: result, symbol: symbol, parameters: parameters,
        isNamed: names == parameters.count && names > 0)
    }
    throw failure("\"\(rest)\" follows the declaration")
  }

  private mutating func result() throws(PluginError) -> PlainType? {
    if peek == "const" { position += 1 }
    if let word = peek, word != "void", PlainType(rawValue: word) == nil, token(after: 1) == "(" {
      throw missing("the type of the result")
    }
    let word = try typeWord("the type of the result")
    guard peek != "*" else {
      throw failure("a returned pointer cannot be used: nobody knows its size or who frees it")
    }
    if word == "void" { return nil }
    let type = try type(word)
    guard let type, Self.results.contains(type) else {
      throw failure(
        "a result must be void, int, int32_t, int64_t, uint32_t, uint64_t, size_t, float or double, "
          + "not \(word)")
    }
    return type
  }

  private mutating func parameter(_ number: Int) throws(PluginError) -> PlainParameter {
    if peek == "..." {
      throw failure("a variable number of arguments (\"...\") is called in another way")
    }
    var isConstant = takeWord("const")
    let word = try typeWord("the type of argument \(number)")
    let type = try type(word)
    if takeWord("const") { isConstant = true }
    guard peek == "*" else {
      if peek == "(" {
        throw failure("argument \(number) is a function pointer, which cannot be passed")
      }
      guard let type else { throw failure("argument \(number) is void") }
      let name = try parameterName(number)
      return PlainParameter(kind: .value(type), name: name)
    }
    position += 1
    while takeWord("const") || takeWord("restrict") || takeWord("__restrict") {}
    if peek == "*" {
      throw failure("argument \(number) points at pointers, whose targets have no known size")
    }
    let name = try parameterName(number)
    return PlainParameter(kind: .pointer(type, isConstant: isConstant), name: name)
  }

  private mutating func parameterName(_ number: Int) throws(PluginError) -> String {
    var found = "argument \(number)"
    if let word = peek, word != ",", word != ")" {
      if word == "(" {
        throw failure("argument \(number) is a function pointer, which cannot be passed")
      }
      if word != "[" { found = try name("the name of argument \(number)") }
    }
    if peek == "[" { throw failure("argument \(number) is an array: write a pointer instead") }
    return found
  }

  /// Nil for `void`.
  private mutating func type(_ word: String) throws(PluginError) -> PlainType? {
    if word == "void" { return nil }
    if word == "unsigned", let next = peek {
      if next == "int" {
        position += 1
      } else if let reason = Self.refused[next] {
        throw failure(reason)
      }
    }
    if let type = PlainType(rawValue: word) { return type }
    if let reason = Self.refused[word] {
      throw failure(
        word == "long" && peek == "double" ? "\"long double\" cannot be passed" : reason)
    }
    let known = PlainType.allCases.map(\.rawValue) + ["void"]
    let near = nearestNames(to: word, in: known)
    throw failure(
      "\"\(word)\" is not a known type"
        + (near.isEmpty ? "" : "; did you mean \(near.joined(separator: " or "))?")
        + (near.isEmpty ? "; the types are \(known.joined(separator: ", "))" : ""))
  }

  private mutating func typeWord(_ what: String) throws(PluginError) -> String {
    guard let word = peek, Self.isWord(word.unicodeScalars.first!) else { throw missing(what) }
    position += 1
    return word
  }

  private mutating func name(_ what: String) throws(PluginError) -> String {
    guard let word = peek, let first = word.unicodeScalars.first, Self.isWord(first) else {
      throw missing(what)
    }
    guard !("0"..."9").contains(first) else { throw failure("\"\(word)\" is not a name") }
    guard PlainType(rawValue: word) == nil, Self.refused[word] == nil, word != "const",
      word != "void"
    else { throw failure("\"\(word)\" stands where \(what) should be") }
    position += 1
    return word
  }

  private mutating func takeWord(_ word: String) -> Bool {
    guard peek == word else { return false }
    position += 1
    return true
  }

  private mutating func take(_ mark: String) throws(PluginError) {
    guard peek == mark else { throw missing("\"\(mark)\"") }
    position += 1
  }

  private var peek: String? { position < tokens.count ? tokens[position] : nil }

  private func token(after distance: Int) -> String? {
    tokens.indices.contains(position + distance) ? tokens[position + distance] : nil
  }

  private func missing(_ what: String) -> PluginError {
    failure("\(what) is missing " + (peek.map { "before \"\($0)\"" } ?? "at the end"))
  }

  private func failure(_ reason: String) -> PluginError {
    .badSignature(signature: text, reason: reason)
  }
}
