/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.SourceUnavailableException;
import io.uloop.core.LibUloop;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** {@code ulohttp} on libuloop's interface: no checks, no retries, only the way it works. */
public final class HttpOnLibUloop {

  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  private HttpOnLibUloop() {}

  /**
   * Serves until the device is detached.
   *
   * @param args bitmap, cache, device, URL
   * @throws Exception if anything fails
   */
  public static void main(String[] args) throws Exception {
    URI uri = URI.create(args[3]);
    HttpRequest head =
        HttpRequest.newBuilder(uri).method("HEAD", HttpRequest.BodyPublishers.noBody()).build();
    long size =
        CLIENT
            .send(head, BodyHandlers.discarding())
            .headers()
            .firstValueAsLong("Content-Length")
            .orElseThrow();
    LibUloop.Init init = new LibUloop.Init(args[2], Path.of(args[1]), Path.of(args[0]), size);
    try (LibUloop uloop = LibUloop.init(init)) {
      System.out.println("cache of " + uloop.cacheSize() + " bytes");
      uloop.loop((start, length, cache) -> cache.write(fetch(uri, start, length), start));
    }
  }

  private static ByteBuffer fetch(URI uri, long start, int length) throws IOException {
    String range = "bytes=" + start + "-" + (start + length - 1);
    try {
      HttpResponse<byte[]> answer =
          CLIENT.send(
              HttpRequest.newBuilder(uri).header("Range", range).build(),
              BodyHandlers.ofByteArray());
      if (answer.statusCode() == 206) {
        return ByteBuffer.wrap(answer.body());
      }
      throw new SourceUnavailableException(uri + " answered " + answer.statusCode());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }
}
