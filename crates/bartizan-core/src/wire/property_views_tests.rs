//! Views and forwarding of properties.

use super::*;
use crate::wire::property::PropertyWriter;

fn block(properties: &[Property<'_>]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut writer = PropertyWriter::new(&mut raw);
    for property in properties {
        writer.put(*property);
    }
    raw
}

const KEPT: [Property<'static>; 3] =
    [Property::ContentType("text/plain"), Property::UserProperty(("a", "1")), Property::UserProperty(("a", "2"))];

#[test]
fn absent_connect_properties_have_the_specified_defaults() {
    let view = ConnectProperties::read(Properties::default());
    assert_eq!((view.session_expiry_s, view.receive_maximum, view.topic_alias_maximum), (0, 65_535, 0));
    assert_eq!((view.request_response_information, view.request_problem_information), (false, true));
    assert_eq!(view.maximum_packet_size, None);
}

#[test]
fn connect_properties_are_read() {
    let raw = block(&[
        Property::SessionExpiryInterval(60),
        Property::ReceiveMaximum(3),
        Property::RequestProblemInformation(0),
        Property::AuthenticationMethod("SCRAM-SHA-256"),
        Property::AuthenticationData(b"hunter2"),
    ]);
    let view = ConnectProperties::read(Properties { raw: &raw });
    assert_eq!((view.session_expiry_s, view.receive_maximum), (60, 3));
    assert!(!view.request_problem_information);
    assert_eq!(view.authentication_method, Some("SCRAM-SHA-256"));
    assert_eq!(view.authentication_data, Some(&b"hunter2"[..]));
    assert!(!format!("{view:?}").contains("104, 117"), "Authentication Data shows in Debug");
}

#[test]
fn what_is_forwarded_whole_is_lent_not_copied() {
    for dropped in [Property::MessageExpiryInterval(5), Property::TopicAlias(7), Property::WillDelayInterval(1)] {
        let front = block(&[&[dropped][..], &KEPT].concat());
        let back = block(&[&KEPT[..], &[dropped]].concat());
        for raw in [block(&KEPT), front, back] {
            let mut scratch = Vec::new();
            assert_eq!(forwardable(Properties { raw: &raw }, &mut scratch), block(&KEPT));
            assert_eq!(scratch.capacity(), 0);
        }
    }
}

#[test]
fn mqtt_3_3_2_18_user_properties_keep_their_order_around_what_is_dropped() {
    let [first, second, third] = KEPT;
    let raw = block(&[
        first,
        Property::TopicAlias(7),
        second,
        Property::MessageExpiryInterval(5),
        third,
        Property::SubscriptionIdentifier(9),
    ]);
    let mut scratch = vec![1, 2, 3];
    assert_eq!(forwardable(Properties { raw: &raw }, &mut scratch), block(&KEPT));
}

#[test]
fn nothing_to_forward_is_the_empty_block() {
    let mut scratch = Vec::new();
    let raw = block(&[Property::TopicAlias(7)]);
    assert_eq!(forwardable(Properties { raw: &raw }, &mut scratch), b"");
    assert_eq!(forwardable(Properties::default(), &mut scratch), b"");
}

#[test]
fn publish_and_will_properties_are_read() {
    let raw = block(&[
        Property::PayloadFormatIndicator(1),
        Property::MessageExpiryInterval(5),
        Property::TopicAlias(7),
        Property::ResponseTopic("r"),
    ]);
    let view = PublishProperties::read(Properties { raw: &raw });
    assert_eq!((view.payload_format_utf8, view.message_expiry_s, view.topic_alias), (true, Some(5), Some(7)));
    assert_eq!((view.response_topic, view.has_subscription_identifier), (Some("r"), false));

    let raw = block(&[Property::WillDelayInterval(9), Property::MessageExpiryInterval(0)]);
    let view = WillProperties::read(Properties { raw: &raw });
    assert_eq!((view.delay_s, view.message_expiry_s), (9, Some(0)));
}
