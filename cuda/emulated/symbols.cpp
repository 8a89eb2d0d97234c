#include "cuda/emulated/symbols.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <vector>

#include "cuda/emulated/text.hpp"

namespace folio::cuda_emulated {
namespace {

/// The program or library that an address lies in.
struct Module {
  std::string path;
  std::uintptr_t base = 0, address = 0;
};

Module module_of(std::uintptr_t address) {
  Module module;
  module.address = address;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& found = *static_cast<Module*>(data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
          if (segment.p_type != PT_LOAD || found.address < begin || found.address >= begin + segment.p_memsz) continue;
          found.path = info->dlpi_name[0] == '\0' ? "/proc/self/exe" : info->dlpi_name;
          found.base = info->dlpi_addr;
          return 1;
        }
        return 0;
      },
      &module);
  return module;
}

std::string hex(std::uintptr_t value) {
  std::ostringstream text;
  text << "0x" << std::hex << value;
  return text.str();
}

using Symbols = std::map<std::uintptr_t, std::string>;

/// Functions by their offset in the file, local ones included.
Symbols read_symbols(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::string bytes(file ? static_cast<std::size_t>(file.tellg()) : 0, '\0');
  file.seekg(0).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  Symbols symbols;
  if (bytes.size() < sizeof(Elf64_Ehdr) || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) return symbols;
  const auto at = [&]<typename T>(std::size_t offset, T& value) {
    if (offset + sizeof(T) > bytes.size()) return false;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return true;
  };
  Elf64_Ehdr header{};
  at(0, header);
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr table{}, names{};
    if (!at(header.e_shoff + i * sizeof table, table)) return symbols;
    if (table.sh_type != SHT_SYMTAB && table.sh_type != SHT_DYNSYM) continue;
    if (!at(header.e_shoff + table.sh_link * sizeof names, names)) return symbols;
    for (std::size_t offset = 0; offset + sizeof(Elf64_Sym) <= table.sh_size; offset += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol{};
      if (!at(table.sh_offset + offset, symbol)) break;
      const std::size_t name = names.sh_offset + symbol.st_name;
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_value != 0 && name < bytes.size()) {
        symbols.emplace(symbol.st_value, bytes.c_str() + name);
      }
    }
  }
  return symbols;
}

void erase_all(std::string& text, const std::string& what) {
  for (std::size_t at; (at = text.find(what)) != std::string::npos;) text.erase(at, what.size());
}

/// "void folio::cuda_emulated::(anonymous namespace)::k<float>(float*)" → "k<float>"
std::string shortened(const std::string& mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), &std::free);
  std::string name = status == 0 ? demangled.get() : mangled;
  erase_all(name, "folio::cuda_emulated::");
  erase_all(name, "(anonymous namespace)::");
  if (name.starts_with("void ")) name.erase(0, 5);
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    depth += name[i] == '<';
    depth -= name[i] == '>';
    if (depth == 0 && name[i] == '(') return name.substr(0, i);
  }
  return name;
}

}  // namespace

const std::string& kernel_name(std::uintptr_t address) {
  static auto* const names = new std::map<std::uintptr_t, std::string>;
  static auto* const modules = new std::map<std::string, Symbols>;
  const auto known = names->find(address);
  if (known != names->end()) return known->second;
  const Module module = module_of(address);
  if (!modules->contains(module.path)) modules->emplace(module.path, read_symbols(module.path));
  const Symbols& symbols = modules->at(module.path);
  const auto symbol = symbols.find(address - module.base);
  const std::string name =
      symbol != symbols.end() ? shortened(symbol->second) : "at program+" + hex(address - module.base);
  return names->emplace(address, name).first->second;
}

std::string shown_path(const char* path) {
  std::string text = std::filesystem::path(path).lexically_normal().string();
  while (text.starts_with("../")) text.erase(0, 3);
  return text;
}

std::string source_line(std::uintptr_t code) {
  const Module module = module_of(code);
  const std::uintptr_t offset = code - module.base;
  // -i names every function that was inlined here, the innermost first; the emulator's own headers are not the place.
  const std::string path = module.path == "/proc/self/exe" ? "/proc/" + std::to_string(getpid()) + "/exe" : module.path;
  const std::string command = "addr2line -i -e '" + path + "' " + hex(offset) + " 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), &pclose);
  std::string first;
  char line[1024];
  while (pipe != nullptr && std::fgets(line, sizeof line, pipe.get()) != nullptr) {
    std::string place(line, std::strcspn(line, "\n"));
    place = shown_path(place.substr(0, place.find(" (discriminator")).c_str());
    if (place.starts_with("??") || place.ends_with(":?")) continue;
    if (first.empty()) first = place;
    const auto within = [&](const char* part) { return place.find(part) != std::string::npos; };
    if (!within("cuda/emulated/") && !within("cuda/pack.hpp") && !within("/include/c++/")) return place;
  }
  return first.empty() ? "program+" + hex(offset) : first;
}

}  // namespace folio::cuda_emulated
