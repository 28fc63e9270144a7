"""Agents put files in and open them again."""

import hashlib

from tests.kits.server import Server


def test_a_file_comes_back_as_it_went_in(server: Server) -> None:
    content = b"%PDF-1.7 the invoice"
    with server.client() as client:
        headers = {"X-File-Name": "..%2Fsecret%2Fr%C3%A9sum%C3%A9.pdf", "Content-Type": "image/png"}
        kept = client.post("files", content=content, headers=headers)
        assert kept.status_code == 201, kept.text
        said = kept.json()
        assert said["ref"] == "file:" + hashlib.sha256(content).hexdigest()
        assert said["name"] == "résumé.pdf"
        assert said["media_type"] == "application/pdf"
        found = client.get(f"files/{said['ref'][5:]}", follow_redirects=False)
        assert found.status_code == 307
        opened = client.get(found.headers["location"])
        assert opened.content == content
        assert opened.headers["content-disposition"].startswith("attachment")


def test_what_is_no_file_is_refused(server: Server) -> None:
    with server.client() as client:
        empty = client.post("files", content=b"", headers={"Content-Type": "application/octet-stream"})
        assert empty.status_code == 422
        assert client.get("files/" + "0" * 64).status_code == 404
        assert client.get("files/nonsense").status_code == 422
