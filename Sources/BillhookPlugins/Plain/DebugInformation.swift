internal import CLibDW
internal import Glibc

/// What a library's DWARF debug information says of its functions.
///
/// Source: DWARF Debugging Information Format Committee, *DWARF Version 5*, 2017, sections 3.3
/// (subroutines), 5.1 (base types) and 5.3 (modifiers).
struct DebugInformation {
  /// The result of a comparison.
  enum Finding: Equatable {
    /// The library has no debug information, or none of this function.
    case unknown
    case agrees
    case contradicts(String)
  }

  /// One type, as far as it matters to a call.
  private enum Kind: Equatable {
    case void
    case float(bytes: Int)
    case integer(bytes: Int, isSigned: Bool)
    indirect case pointer(Kind)
    /// A struct, a union, an array or a function, by its name.
    case other(String)

    var text: String {
      switch self {
      case .void: "void"
      case .float(let bytes):
        bytes == 4 ? "float" : bytes == 8 ? "double" : "a \(8 * bytes)-bit float"
      case .integer(let bytes, let isSigned): "\(isSigned ? "int" : "uint")\(8 * bytes)_t"
      case .pointer(let target): "\(target.text)*"
      case .other(let name): name
      }
    }
  }

  private struct Function {
    var result: Kind
    var parameters: [Kind]
    var isVariadic: Bool
  }

  /// Compares a declared signature with the library's own.
  static func compare(_ signature: PlainSignature, library path: String) -> Finding {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return .unknown }
    defer { close(descriptor) }
    guard let dwarf = dwarf_begin(descriptor, DWARF_C_READ) else { return .unknown }
    defer { dwarf_end(dwarf) }
    var offset: Dwarf_Off = 0
    var next: Dwarf_Off = 0
    var headerSize = 0
    while dwarf_nextcu(dwarf, offset, &next, &headerSize, nil, nil, nil) == 0 {
      var unitEntry = Dwarf_Die()
      if dwarf_offdie(dwarf, offset + Dwarf_Off(headerSize), &unitEntry) != nil,
        let function = find(signature.symbol, in: &unitEntry)
      {
        return compare(signature, with: function)
      }
      offset = next
    }
    return .unknown
  }

  /// The definition of an exported function among the children of a unit.
  private static func find(_ symbol: String, in unit: inout Dwarf_Die) -> Function? {
    var entry = Dwarf_Die()
    guard dwarf_child(&unit, &entry) == 0 else { return nil }
    repeat {
      guard Int(dwarf_tag(&entry)) == DW_TAG_subprogram, name(&entry) == symbol,
        dwarf_hasattr_integrate(&entry, UInt32(DW_AT_external)) != 0,
        dwarf_hasattr(&entry, UInt32(DW_AT_declaration)) == 0
      else { continue }
      return function(&entry)
    } while advance(&entry)
    return nil
  }

  /// Goes on to the next entry of the same level; false at the end.
  private static func advance(_ entry: inout Dwarf_Die) -> Bool {
    var next = Dwarf_Die()
    guard dwarf_siblingof(&entry, &next) == 0 else { return false }
    entry = next
    return true
  }

  /// The name that the linker sees.
  private static func name(_ entry: inout Dwarf_Die) -> String? {
    for attribute in [DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name] {
      var value = Dwarf_Attribute()
      if dwarf_attr_integrate(&entry, UInt32(attribute), &value) != nil,
        let text = dwarf_formstring(&value)
      {
        return String(cString: text)
      }
    }
    return nil
  }

  private static func function(_ entry: inout Dwarf_Die) -> Function {
    var result = Function(result: type(of: &entry, depth: 0), parameters: [], isVariadic: false)
    var child = Dwarf_Die()
    guard dwarf_child(&entry, &child) == 0 else { return result }
    repeat {
      switch Int(dwarf_tag(&child)) {
      case DW_TAG_formal_parameter: result.parameters.append(type(of: &child, depth: 0))
      case DW_TAG_unspecified_parameters: result.isVariadic = true
      default: break
      }
    } while advance(&child)
    return result
  }

  private static func type(of entry: inout Dwarf_Die, depth: Int) -> Kind {
    var attribute = Dwarf_Attribute()
    var target = Dwarf_Die()
    guard depth < 32, dwarf_attr_integrate(&entry, UInt32(DW_AT_type), &attribute) != nil,
      dwarf_formref_die(&attribute, &target) != nil
    else { return .void }
    let bytes = Int(dwarf_bytesize(&target))
    switch Int(dwarf_tag(&target)) {
    case DW_TAG_base_type:
      var encoding = Dwarf_Attribute()
      var value: Dwarf_Word = 0
      guard dwarf_attr(&target, UInt32(DW_AT_encoding), &encoding) != nil,
        dwarf_formudata(&encoding, &value) == 0
      else { return .other("an unknown type") }
      switch Int(value) {
      case DW_ATE_float: return .float(bytes: bytes)
      case DW_ATE_signed, DW_ATE_signed_char: return .integer(bytes: bytes, isSigned: true)
      case DW_ATE_unsigned, DW_ATE_unsigned_char, DW_ATE_boolean, DW_ATE_UTF:
        return .integer(bytes: bytes, isSigned: false)
      default: return .other(name(&target) ?? "an unknown type")
      }
    case DW_TAG_enumeration_type: return .integer(bytes: bytes, isSigned: false)
    case DW_TAG_pointer_type, DW_TAG_reference_type, DW_TAG_rvalue_reference_type:
      return .pointer(type(of: &target, depth: depth + 1))
    case DW_TAG_typedef, DW_TAG_const_type, DW_TAG_volatile_type, DW_TAG_restrict_type,
      DW_TAG_atomic_type:
      return type(of: &target, depth: depth + 1)
    case DW_TAG_array_type:
      // Fortran's arrays are passed by address.
      return .pointer(type(of: &target, depth: depth + 1))
    case DW_TAG_subroutine_type: return .other("a function")
    default: return .other(name(&target).map { "struct \($0)" } ?? "a struct")
    }
  }

  // MARK: - Comparing

  private static func compare(_ signature: PlainSignature, with function: Function) -> Finding {
    if function.isVariadic { return .contradicts("it takes a variable number of arguments") }
    guard function.parameters.count == signature.parameters.count else {
      return .contradicts(
        "its debug information has \(function.parameters.count) arguments, not "
          + "\(signature.parameters.count)")
    }
    let declared = signature.result.map(kind) ?? .void
    // A result that is not used may be left away.
    if declared != .void, !isSame(declared, function.result, exactly: true) {
      return .contradicts(
        "its debug information says that it returns \(function.result.text), not "
          + "\(signature.result?.rawValue ?? "void")")
    }
    for (index, parameter) in signature.parameters.enumerated() {
      let found = function.parameters[index]
      let isRight =
        switch (parameter.kind, found) {
        case (.value(let type), _): isSame(kind(type), found, exactly: false)
        case (.pointer(nil, _), .pointer), (.pointer, .pointer(.void)): true
        case (.pointer(let type?, _), .pointer(let target)):
          isSame(kind(type), target, exactly: true)
        // What Fortran passes by reference has the type of the value.
        case (.pointer(let type?, _), _): isSame(kind(type), found, exactly: true)
        case (.pointer(nil, _), _): false
        }
      guard isRight else {
        return .contradicts(
          "its debug information says that argument \(index + 1) is \(found.text), not "
            + parameter.text)
      }
    }
    return .agrees
  }

  private static func kind(_ type: PlainType) -> Kind {
    type.isFloatingPoint
      ? .float(bytes: type.byteCount) : .integer(bytes: type.byteCount, isSigned: type.isSigned)
  }

  /// - Parameter exactly: False where a sign makes no difference: the same bits are passed.
  private static func isSame(_ left: Kind, _ right: Kind, exactly: Bool) -> Bool {
    if case .integer(let bytes, _) = left, case .integer(let others, _) = right, !exactly {
      return bytes == others
    }
    return left == right
  }
}
