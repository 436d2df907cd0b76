#!/usr/bin/env python3
"""Packs this folder as an extension for VS Code: pack.py OUT.vsix. The same files give the same bytes."""
import json
import pathlib
import sys
import zipfile
from xml.sax.saxutils import quoteattr, escape

HERE = pathlib.Path(__file__).resolve().parent
FILES = ["package.json", "language-configuration.json", "syntaxes/deploy.tmLanguage.json", "extension.js", "convert.js", "server.js", "README.md"]
TYPES = {".json": "application/json", ".js": "application/javascript", ".md": "text/markdown", ".vsixmanifest": "text/xml"}


def content_types():
    rows = "".join(f'<Default Extension={quoteattr(suffix)} ContentType={quoteattr(kind)}/>' for suffix, kind in TYPES.items())
    return f'<?xml version="1.0" encoding="utf-8"?>\n<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{rows}</Types>\n'


def manifest(package):
    identity = f'<Identity Language="en-US" Id={quoteattr(package["name"])} Version={quoteattr(package["version"])} Publisher={quoteattr(package["publisher"])}/>'
    engine = f'<Property Id="Microsoft.VisualStudio.Code.Engine" Value={quoteattr(package["engines"]["vscode"])}/>'
    return f"""<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    {identity}
    <DisplayName>{escape(package["displayName"])}</DisplayName>
    <Description xml:space="preserve">{escape(package["description"])}</Description>
    <Categories>{escape(",".join(package["categories"]))}</Categories>
    <Properties>{engine}</Properties>
  </Metadata>
  <Installation><InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation>
  <Dependencies/>
  <Assets>
    <Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json" Addressable="true"/>
    <Asset Type="Microsoft.VisualStudio.Services.Content.Details" Path="extension/README.md" Addressable="true"/>
  </Assets>
</PackageManifest>
"""


def pack(out):
    package = json.loads((HERE / "package.json").read_text())
    texts = {"[Content_Types].xml": content_types(), "extension.vsixmanifest": manifest(package)}
    texts |= {f"extension/{name}": (HERE / name).read_text() for name in FILES}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pack(sys.argv[1])
