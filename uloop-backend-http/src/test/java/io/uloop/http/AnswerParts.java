/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.LyingOrigin.Answer;
import io.uloop.http.LyingOrigin.Request;
import io.uloop.http.LyingOrigin.Wire;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** What answers, right and wrong, are made of. */
final class AnswerParts {

  private AnswerParts() {}

  static void honest(Request r, Wire w) throws IOException {
    int size = w.image().length;
    String match = r.headers().get("if-match");
    String now = w.validators().stream().filter(v -> v.startsWith("ETag: ")).findAny().orElse("");
    if (match != null && !now.equals("ETag: " + match)) {
      w.head("HTTP/1.1 412 Precondition Failed", w.validators(), "Content-Length: 0");
    } else if (!r.ranged()) {
      w.head("HTTP/1.1 200 OK", w.validators(), "Accept-Ranges: bytes", "Content-Length: " + size);
      body(r, w, 0, size);
    } else if (r.first() >= size) {
      w.head(
          "HTTP/1.1 416 Range Not Satisfiable",
          w.validators(),
          "Content-Range: bytes */" + size,
          "Content-Length: 0");
    } else {
      partial(r, w, r.first(), r.length());
    }
  }

  static void partial(Request r, Wire w, long first, int length) throws IOException {
    partialHead(r, w, w.validators(), first, length, length);
    body(r, w, first, length);
  }

  static void partialHead(
      Request r, Wire w, List<String> lines, long first, int length, int announced)
      throws IOException {
    w.head(
        "HTTP/1.1 206 Partial Content",
        lines,
        contentRange(r, w, first, length),
        "Content-Length: " + announced);
  }

  static String contentRange(Request r, Wire w, long first, int length) {
    return "Content-Range: bytes " + first + "-" + (first + length - 1) + "/" + w.image().length;
  }

  static void withTag(Request r, Wire w, String line) throws IOException {
    partialHead(r, w, List.of(line), r.first(), r.length(), r.length());
    body(r, w, r.first(), r.length());
  }

  static void body(Request r, Wire w, long first, int length) throws IOException {
    if (!r.head() && length > 0) {
      w.bytes(first, length);
      w.flush();
    }
  }

  static void closeDelimited(Request r, Wire w, int length) throws IOException {
    List<String> lines = new ArrayList<>(w.validators());
    lines.add(contentRange(r, w, r.first(), r.length()));
    w.head("HTTP/1.1 206 Partial Content", lines, "Connection: close");
    body(r, w, r.first(), length);
    w.end();
  }

  static void chunked(Request r, Wire w, int length, boolean ended) throws IOException {
    w.head(
        "HTTP/1.1 206 Partial Content",
        w.validators(),
        contentRange(r, w, r.first(), r.length()),
        "Transfer-Encoding: chunked");
    if (r.head()) {
      return;
    }
    for (int done = 0; done < length; ) {
      int size = Math.min(length - done, 1000);
      w.text(Integer.toHexString(size) + ";ext=1\r\n");
      body(r, w, r.first() + done, size);
      w.text("\r\n");
      done += size;
    }
    if (ended) {
      w.text("0\r\nX-Trailer: 1\r\n\r\n");
    } else {
      w.end();
    }
  }

  static Answer status(String status, String... headers) {
    return LyingOrigin.status(status, headers);
  }

  /** 200 with so many bytes of the image, whatever was asked for. */
  static void whole(Request r, Wire w, List<String> lines, String length, int sent)
      throws IOException {
    w.head("HTTP/1.1 200 OK", lines, length);
    body(r, w, 0, sent);
  }

  /** The right 206 with other lines about its body. */
  static void framed(Request r, Wire w, String... lines) throws IOException {
    List<String> all = new ArrayList<>(w.validators());
    all.add(contentRange(r, w, r.first(), r.length()));
    w.head("HTTP/1.1 206 Partial Content", all, lines);
    body(r, w, r.first(), r.length());
  }
}
