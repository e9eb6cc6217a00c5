"""Everything for browsers, built from the files in `assets`: the job card, the page at `/`, and all media.

    card             the HTML card in which hosts show a job in the chat
    page             the page at `/`, and the icons
    media            the sample video, the sandbox's frames and video, and the address of the links to them
    static_response  reads the files in `assets`, and sends them with ETag, 304 and byte ranges

The files `assets/draw.*` draw a job in both the card and the page.
"""
