"""The company's own chat: a widget on its pages, or its own apps and servers, speaking our protocol."""
