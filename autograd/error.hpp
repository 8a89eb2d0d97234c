#pragma once
#include <stdexcept>
#include <string>
#include <utility>

namespace folio {

/// What every part of Folio throws: one line that says what went wrong, where, and what to do about it.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error unless `condition` holds; the message is built only when it is needed.
template <class Message>
void require(bool condition, Message&& message) {
  if (!condition) {
    throw Error(std::forward<Message>(message)());
  }
}

}  // namespace folio
