#include "cache/core.h"

namespace nimbus::cache {

Traffic::Traffic(Metrics& metrics, const std::string& protocol)
    : hits(metrics.counter("nimbus_cache_hits_total", "Lookups that found an entry.",
                           {{"protocol", protocol}})),
      misses(metrics.counter("nimbus_cache_misses_total", "Lookups that found none.",
                             {{"protocol", protocol}})),
      read_bytes(metrics.counter("nimbus_cache_read_bytes_total", "Bytes of entries sent.",
                                 {{"protocol", protocol}})),
      written_bytes(metrics.counter("nimbus_cache_written_bytes_total", "Bytes of entries stored.",
                                    {{"protocol", protocol}})) {}

}  // namespace nimbus::cache
